// Channel over a scripted transport and over a socket pair: framing, views, batches, limits, failures.
#include "ferry/channel.hpp"

#include <doctest/doctest.h>

#include <array>
#include <numeric>
#include <string>
#include <thread>

#include "frame.hpp"
#include "support/scripted_connection.hpp"
#include "support/socket_connection.hpp"

using namespace ferry;
using namespace ferry::test;
using namespace std::chrono_literals;

namespace {

ConstBytes bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string text(ConstBytes view) { return {reinterpret_cast<const char*>(view.data()), view.size()}; }

std::string framed(std::string_view payload) {
  std::string frame(max_frame_header_bytes, '\0');
  frame.resize(write_frame_header(FrameFormat::python, payload.size(), reinterpret_cast<std::byte*>(frame.data())));
  return frame + std::string(payload);
}

std::string pattern(std::size_t size, unsigned seed) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 31 + seed) >> 3);
  return text;
}

Connection::Settings settings_with(std::uint64_t max_message) {
  Connection::Settings settings;
  settings.wait = WaitPolicy(WaitPolicy::Mode::off, 0);
  settings.max_message = max_message;
  return settings;
}

struct Fixture {
  explicit Fixture(std::uint64_t max_message = 64u << 20) : channel(scripted(script, settings_with(max_message))) {}
  std::shared_ptr<Script> script = std::make_shared<Script>();
  Channel channel;
};

struct SmallLimit : Fixture {
  SmallLimit() : Fixture(1000) {}
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a small message leaves as one piece, a larger one gathered, and both are framed") {
  CHECK(channel.try_send(bytes("hi")) == Status::ok);
  const std::string larger = pattern(5000, 1);
  CHECK(channel.try_send(bytes(larger)) == Status::ok);
  CHECK(channel.try_send(bytes("")) == Status::ok);
  CHECK(script->written == framed("hi") + framed(larger) + framed(""));
  CHECK(script->write_counts == std::vector<std::uint32_t>{1, 2, 1});
}

TEST_CASE_FIXTURE(Fixture, "messages are found whatever pieces they arrive in") {
  const std::vector<std::string> sent{"", "a", pattern(127, 1), pattern(5000, 2), pattern(200'000, 3), "end"};
  std::string stream;
  for (const auto& message : sent) stream += framed(message);
  for (const std::size_t piece : {1u, 3u, 4u, 5u, 100u, 4096u, 70'000u, 1'000'000u}) {
    for (std::size_t at = 0; at < stream.size(); at += piece) script->deliver(stream.substr(at, piece));
    for (const auto& message : sent) {
      ConstBytes view;
      REQUIRE(channel.receive_view(view) == Status::ok);
      CHECK(text(view) == message);
    }
  }
  ConstBytes view;
  CHECK(channel.receive_view(view) == Status::end);
}

TEST_CASE_FIXTURE(Fixture, "receive_many returns what has arrived and blocks only for the first") {
  script->deliver(framed("one") + framed("two") + framed("three").substr(0, 5));
  script->deliver(framed("three").substr(5) + framed("four"));
  std::array<ConstBytes, 8> messages;
  std::size_t received = 0;
  REQUIRE(channel.receive_many(messages, received) == Status::ok);
  CHECK(received == 2);
  CHECK(text(messages[1]) == "two");
  REQUIRE(channel.receive_many(std::span(messages).first(1), received) == Status::ok);
  CHECK(received == 1);
  CHECK(text(messages[0]) == "three");
  REQUIRE(channel.receive_many(messages, received) == Status::ok);
  CHECK(received == 1);
  CHECK(text(messages[0]) == "four");
  CHECK(script->read_calls == 2);
}

TEST_CASE_FIXTURE(Fixture, "a receive that times out loses no framing state") {
  const std::string message = pattern(300'000, 5);
  const std::string stream = framed(message);
  constexpr std::size_t piece = 60'001;
  ConstBytes view;
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    const bool last = at + piece >= stream.size();
    script->deliver(FERRY_TIMED_OUT);
    script->deliver(stream.substr(at, piece));
    if (!last) script->deliver(FERRY_WOULD_BLOCK);
    CHECK(channel.receive_view(view, 1ms) == Status::timed_out);
    CHECK(channel.receive_view(view, Deadline::no_wait()) == (last ? Status::ok : Status::would_block));
  }
  CHECK(text(view) == message);
}

TEST_CASE_FIXTURE(Fixture, "a length alone takes no memory: the buffer grows as bytes arrive") {
  script->deliver(framed(std::string(40u << 20, 'x')).substr(0, 100'000));
  script->deliver(FERRY_WOULD_BLOCK);
  ConstBytes view;
  CHECK(channel.receive_view(view, Deadline::no_wait()) == Status::would_block);
  CHECK(script->largest_read <= 128u << 10);
}

TEST_CASE_FIXTURE(SmallLimit, "a message above max_message is refused on both sides before any of it moves") {
  const std::string allowed = pattern(1000, 1), too_long = pattern(1001, 2);
  CHECK(channel.try_send(bytes(allowed)) == Status::ok);
  CHECK(channel.try_send(bytes(too_long)) == Status::too_large);
  CHECK(channel.try_send(bytes("after")) == Status::ok);
  const ConstBytes many[] = {bytes("x"), bytes(too_long), bytes("y")};
  std::size_t sent = 0;
  CHECK(channel.send_many(many, sent) == Status::too_large);
  CHECK(sent == 1);
  CHECK(script->written == framed(allowed) + framed("after") + framed("x"));

  script->deliver(framed(allowed) + framed(too_long).substr(0, 10));
  ConstBytes view;
  CHECK(channel.receive_view(view) == Status::ok);
  CHECK(channel.receive_view(view) == Status::too_large);
  CHECK(channel.receive_view(view) == Status::too_large);
}

TEST_CASE_FIXTURE(Fixture, "a negative length is a protocol violation, an end inside a message a reset") {
  ConstBytes view;
  SUBCASE("negative") {
    script->deliver(std::string("\xff\xff\xff\xfe", 4));
    CHECK(channel.receive_view(view) == Status::protocol);
  }
  SUBCASE("end inside the header") {
    script->deliver(std::string("\0\0", 2));
    CHECK(channel.receive_view(view) == Status::reset);
  }
  SUBCASE("end inside the payload") {
    script->deliver(framed("hello").substr(0, 7));
    CHECK(channel.receive_view(view) == Status::reset);
  }
}

TEST_CASE_FIXTURE(Fixture, "messages before a malformed frame are delivered first") {
  script->deliver(framed("good") + std::string("\x80\0\0\0", 4));
  std::array<ConstBytes, 4> messages;
  std::size_t received = 0;
  REQUIRE(channel.receive_many(messages, received) == Status::ok);
  CHECK(received == 1);
  CHECK(text(messages[0]) == "good");
  CHECK(channel.receive_many(messages, received) == Status::protocol);
  CHECK(received == 0);
}

TEST_CASE_FIXTURE(Fixture, "send_many packs small messages and passes large ones through, in order") {
  std::vector<std::string> sent;
  for (unsigned i = 0; i < 3000; ++i) sent.push_back(pattern(i % 100 == 99 ? 9000 + i : i % 97, i));
  std::vector<ConstBytes> messages;
  std::string expected;
  for (const auto& message : sent) {
    messages.push_back(bytes(message));
    expected += framed(message);
  }
  std::size_t count = 0;
  CHECK(channel.send_many(messages, count) == Status::ok);
  CHECK(count == sent.size());
  CHECK(script->written == expected);
  CHECK(script->write_calls <= 6);
}

TEST_CASE_FIXTURE(Fixture, "send_many says how many whole messages went before a failure, which breaks the channel") {
  const std::string big = pattern(10'000, 1);
  const ConstBytes messages[] = {bytes("one"), bytes("two"), bytes(big), bytes("three")};
  script->writes = {static_cast<std::int64_t>(framed("one").size() + framed("two").size() + 100), FERRY_TIMED_OUT};
  std::size_t sent = 0;
  CHECK(channel.send_many(messages, sent, 1ms) == Status::timed_out);
  CHECK(sent == 2);
  CHECK(channel.try_send(bytes("x")) == Status::closed);
  CHECK(channel.send_many(messages, sent) == Status::closed);
  CHECK_THROWS_WITH_AS(channel.send("x"), doctest::Contains("broke off inside a message"), Error);
}

TEST_CASE_FIXTURE(Fixture, "a send that fails before its first byte can be repeated") {
  script->writes = {FERRY_WOULD_BLOCK, FERRY_WOULD_BLOCK};
  CHECK(channel.try_send(bytes("one"), Deadline::no_wait()) == Status::would_block);
  const ConstBytes messages[] = {bytes("one"), bytes("two")};
  std::size_t sent = 9;
  CHECK(channel.send_many(messages, sent, Deadline::no_wait()) == Status::would_block);
  CHECK(sent == 0);
  CHECK(channel.send_many(messages, sent) == Status::ok);
  CHECK(sent == 2);
  CHECK(script->written == framed("one") + framed("two"));
}

TEST_CASE_FIXTURE(Fixture, "corked messages leave together at uncork, and large ones take them along") {
  channel.cork();
  CHECK(channel.try_send(bytes("one")) == Status::ok);
  CHECK(channel.try_send(bytes("two")) == Status::ok);
  CHECK(script->write_calls == 0);
  const std::string big = pattern(10'000, 1);
  CHECK(channel.try_send(bytes(big)) == Status::ok);
  CHECK(script->write_calls == 1);
  CHECK(channel.try_send(bytes("three")) == Status::ok);
  CHECK(channel.uncork() == Status::ok);
  CHECK(channel.try_send(bytes("four")) == Status::ok);
  CHECK(script->written == framed("one") + framed("two") + framed(big) + framed("three") + framed("four"));
  CHECK(script->write_calls == 3);
}

TEST_CASE_FIXTURE(Fixture, "a cork lets go by itself when 64 KiB have gathered") {
  channel.cork();
  const std::string message = pattern(1000, 1);
  std::string expected;
  for (int i = 0; i < 200; ++i) {
    CHECK(channel.try_send(bytes(message)) == Status::ok);
    expected += framed(message);
  }
  CHECK(script->write_calls == 3);
  CHECK(channel.uncork() == Status::ok);
  CHECK(script->written == expected);
}

TEST_CASE_FIXTURE(Fixture, "an uncork that would block keeps what is held back for the next try") {
  channel.cork();
  CHECK(channel.try_send(bytes("one")) == Status::ok);
  script->writes = {FERRY_WOULD_BLOCK, FERRY_WOULD_BLOCK};
  CHECK(channel.uncork(Deadline::no_wait()) == Status::would_block);
  CHECK(channel.try_send(bytes("two"), Deadline::no_wait()) == Status::would_block);
  CHECK(channel.try_send(bytes("two")) == Status::ok);
  CHECK(script->written == framed("one") + framed("two"));
}

TEST_CASE_FIXTURE(Fixture, "closing, half-closing and destroying a corked channel sends what it holds back") {
  channel.cork();
  CHECK(channel.try_send(bytes("one")) == Status::ok);
  CHECK(channel.close() == Status::ok);
  CHECK(script->written == framed("one"));

  const auto other = std::make_shared<Script>();
  {
    Channel dropped(scripted(other, settings_with(1000)));
    dropped.cork();
    CHECK(dropped.try_send(bytes("two")) == Status::ok);
  }
  CHECK(other->written == framed("two"));

  const auto replaced = std::make_shared<Script>();
  Channel half(scripted(replaced, settings_with(1000)));
  half.cork();
  CHECK(half.try_send(bytes("three")) == Status::ok);
  (void)half.shutdown_write();
  CHECK(replaced->written == framed("three"));
  half.cork();
  CHECK(half.try_send(bytes("four")) == Status::ok);
  half = Channel();
  CHECK(replaced->written == framed("three") + framed("four"));
}

TEST_CASE_FIXTURE(Fixture, "a close that cannot send what is held back aborts and says why") {
  channel.cork();
  CHECK(channel.try_send(bytes("one")) == Status::ok);
  script->writes = {FERRY_TIMED_OUT};
  CHECK(channel.close() == Status::timed_out);
  CHECK(script->aborted);
  CHECK(script->written.empty());
}

TEST_CASE("on a record transport a message is a record") {
  const auto script = std::make_shared<Script>();
  script->kind = FERRY_RECORDS;
  script->max_record = 300'000;
  Channel channel(scripted(script, settings_with(250'000)));
  const std::string big = pattern(200'000, 1);
  const ConstBytes messages[] = {bytes("one"), bytes(""), bytes(big)};
  std::size_t sent = 0;
  CHECK(channel.send_many(messages, sent) == Status::ok);
  CHECK(script->records == std::vector<std::string>{"one", "", big});

  script->deliver("first");
  script->deliver("second");
  script->deliver(big);
  script->deliver(pattern(260'000, 2));
  std::array<ConstBytes, 4> received;
  std::size_t count = 0;
  REQUIRE(channel.receive_many(received, count) == Status::ok);
  CHECK(count == 2);
  CHECK(text(received[1]) == "second");
  ConstBytes view;
  REQUIRE(channel.receive_view(view) == Status::ok);
  CHECK(text(view) == big);
  CHECK(channel.receive_view(view) == Status::too_large);
}

TEST_CASE("a lending transport's messages are viewed in its memory; those above max_view are read in one piece") {
  const std::vector<std::string> sent{"", "a", pattern(500, 1), pattern(5000, 2), pattern(300'000, 3), "bc", "end"};
  std::string stream;
  for (const auto& message : sent) stream += framed(message);
  for (const std::size_t piece : {1u, 5u, 700u, 4096u, 100'000u}) {
    const auto script = std::make_shared<Script>();
    script->max_view = 1024;
    Channel channel(scripted<LendingScriptedConnection>(script, settings_with(1u << 20)));
    REQUIRE(channel.connection().lends());
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      script->deliver(stream.substr(at, piece));
      script->deliver(FERRY_WOULD_BLOCK);
    }
    for (const auto& message : sent) {
      ConstBytes view;
      Status status = Status::would_block;
      while (status == Status::would_block) status = channel.receive_view(view, Deadline::no_wait());
      REQUIRE(status == Status::ok);
      CHECK(text(view) == message);
    }
    script->deliver("\x01");
    ConstBytes view;
    while (channel.receive_view(view, Deadline::no_wait()) == Status::would_block) continue;
    CHECK(channel.receive_view(view) == Status::reset);
  }
}

TEST_CASE("receive_many views several messages of one lent piece") {
  const auto script = std::make_shared<Script>();
  script->max_view = 1024;
  Channel channel(scripted<LendingScriptedConnection>(script, settings_with(1u << 20)));
  script->deliver(framed("one") + framed("two") + framed("three").substr(0, 6));
  script->deliver(framed("three").substr(6));
  std::array<ConstBytes, 8> messages;
  std::size_t received = 0;
  REQUIRE(channel.receive_many(messages, received) == Status::ok);
  CHECK(received == 2);
  CHECK(text(messages[0]) == "one");
  CHECK(text(messages[1]) == "two");
  REQUIRE(channel.receive_many(messages, received) == Status::ok);
  CHECK(received == 1);
  CHECK(text(messages[0]) == "three");
}

TEST_CASE("where the transport asks for aligned frames every payload stands on a multiple of eight") {
  const auto script = std::make_shared<Script>();
  script->frame_alignment = 8;
  Channel channel(scripted(script, settings_with(1u << 20)));
  std::vector<std::string> sent;
  std::vector<ConstBytes> messages;
  for (unsigned i = 0; i < 200; ++i) sent.push_back(pattern(i % 50 == 49 ? 6000 + i : i, i));
  for (const auto& message : sent) messages.push_back(bytes(message));
  CHECK(channel.try_send(messages[3]) == Status::ok);
  CHECK(script->written == std::string("\0\0\0\0\0\0\0\3", 8) + sent[3] + std::string(5, '\0'));
  std::size_t count = 0;
  CHECK(channel.send_many(messages, count) == Status::ok);
  CHECK(script->written.size() % 8 == 0);
  script->deliver(script->written);
  sent.insert(sent.begin(), sent[3]);
  for (const auto& message : sent) {
    ConstBytes view;
    REQUIRE(channel.receive_view(view) == Status::ok);
    CHECK(text(view) == message);
    CHECK(reinterpret_cast<std::uintptr_t>(view.data()) % 8 == 0);
  }
}

TEST_CASE("two threads each way keep every message, whatever the sizes") {
  auto [left, right] = socket_pair();
  Channel here(std::move(left)), there(std::move(right));
  constexpr unsigned count = 3000;
  const auto size_of = [](unsigned i) { return i % 500 == 499 ? 300'000u : (i * 37) % 3000; };
  const auto send_all = [&](Channel& channel, unsigned seed) {
    for (unsigned i = 0; i < count; ++i) {
      if (channel.try_send(bytes(pattern(size_of(i), i + seed)), 30s) != Status::ok) return;
    }
  };
  const auto receive_all = [&](Channel& channel, unsigned seed) {
    std::array<ConstBytes, 16> messages;
    unsigned right_ones = 0, next = 0;
    while (next < count) {
      std::size_t received = 0;
      if (channel.receive_many(messages, received, 30s) != Status::ok) break;
      for (std::size_t i = 0; i < received; ++i, ++next) {
        right_ones += text(messages[i]) == pattern(size_of(next), next + seed) ? 1u : 0u;
      }
    }
    return right_ones;
  };
  unsigned here_right = 0;
  std::thread sender_here([&] { send_all(here, 1); });
  std::thread sender_there([&] { send_all(there, 2); });
  std::thread receiver_here([&] { here_right = receive_all(here, 2); });
  CHECK(receive_all(there, 1) == count);
  receiver_here.join();
  sender_here.join();
  sender_there.join();
  CHECK(here_right == count);
}

TEST_CASE("the two sides authenticate each other, or both refuse") {
  for (const bool same : {true, false}) {
    auto [left, right] = socket_pair();
    Channel client(std::move(left)), listener(std::move(right));
    std::string refusal;
    std::thread thread([&] {
      try {
        client.authenticate_as_client("secret", 30s);
        client.send("hello");
      } catch (const Error& error) {
        refusal = error.what();
      }
    });
    if (same) {
      listener.authenticate_as_listener("secret", 30s);
      CHECK(listener.receive_text(30s) == "hello");
    } else {
      CHECK_THROWS_WITH_AS(listener.authenticate_as_listener("other", 30s), doctest::Contains("authkeys differ"),
                           Error);
    }
    thread.join();
    CHECK(refusal.empty() == same);
    if (!same) CHECK(refusal.find("authkeys differ") != std::string::npos);
  }
}

TEST_CASE("a silent peer is given up at the handshake deadline") {
  Connection::Settings settings;
  settings.handshake_ns = 1'000'000;
  auto [left, right] = socket_pair(settings);
  Channel listener(std::move(left));
  try {
    listener.authenticate_as_listener("secret");
    FAIL("authenticated a silent peer");
  } catch (const Error& error) {
    CHECK(error.status() == Status::timed_out);
  }
}

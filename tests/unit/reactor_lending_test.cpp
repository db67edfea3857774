// The reactor and the relay's pump over a transport that lends its memory.
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "ferry/channel.hpp"
#include "ferry/reactor.hpp"
#include "relay/pair.hpp"
#include "support/lending_ring.hpp"
#include "support/socket_connection.hpp"

using namespace ferry;
using namespace std::chrono_literals;
using test::LendingConnection;
using test::LendingLink;

namespace {

ConstBytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

struct LendingPair {
  std::shared_ptr<LendingLink> link = std::make_shared<LendingLink>();
  Connection first{(new LendingConnection(link, 0))->abi(), nullptr, {}, "lending:0"};
  Connection second{(new LendingConnection(link, 1))->abi(), nullptr, {}, "lending:1"};
};

/// Sizes around every edge: nothing, the ring's wrap-around, and what no ring holds at once.
std::string message_of(std::size_t i) {
  constexpr std::size_t sizes[] = {0, 1, 7, 1000, 16'381, 65'532, 65'533, 200'000};
  return std::string(sizes[i % std::size(sizes)], static_cast<char>('a' + i % 26));
}

}  // namespace

TEST_CASE("messages are read in the transport's own memory, whatever their size and however often reading pauses") {
  constexpr std::size_t count = 400;
  LendingPair pair;
  Reactor reactor;
  std::size_t received = 0;
  std::size_t wrong = 0;
  ReactorConnection::Handlers handlers;
  std::unique_ptr<ReactorHandle> later;
  handlers.on_message = [&](ReactorConnection& self, ConstBytes message) {
    const std::string expected = message_of(received);
    if (message.size() != expected.size() || std::memcmp(message.data(), expected.data(), expected.size()) != 0) {
      ++wrong;
    }
    if (++received % 50 == 0) {
      self.pause_reading();
      later = reactor.call_at(1ms, [&self] { self.resume_reading(); });
    }
  };
  Status status = Status::would_block;
  handlers.on_closed = [&](ReactorConnection&, Status why) { status = why; };
  reactor.add(std::move(pair.first), std::move(handlers));
  std::thread peer([connection = std::move(pair.second)]() mutable {
    Channel channel(std::move(connection));
    for (std::size_t i = 0; i < count; ++i) channel.send(bytes_of(message_of(i)));
  });
  reactor.run();
  peer.join();
  CHECK(received == count);
  CHECK(wrong == 0);
  CHECK(status == Status::ok);
  CHECK(pair.link->directions[1].tail > 1'000'000);
  CHECK(pair.link->directions[1].copied_out == 0);
}

TEST_CASE("many connections are looked at together, those long quiet are armed, and none is missed") {
  constexpr std::size_t many = 3 * 4;
  constexpr int busy_rounds = 2000;
  std::vector<LendingPair> pairs(many);
  Reactor reactor;
  std::size_t closed = 0;
  for (LendingPair& pair : pairs) {
    ReactorConnection::Handlers handlers;
    handlers.on_message = [](ReactorConnection& self, ConstBytes message) {
      self.send(message);
      if (message.size() == 3) self.close();
    };
    handlers.on_closed = [&](ReactorConnection&, Status) {
      if (++closed == many) reactor.stop();
    };
    reactor.add(std::move(pair.first), std::move(handlers));
  }
  std::size_t wrong = 0;
  std::thread peer([&] {
    std::vector<Channel> channels;
    for (LendingPair& pair : pairs) channels.emplace_back(std::move(pair.second));
    const auto ask_all = [&](std::string_view question) {
      for (Channel& channel : channels) channel.send(question);
      for (Channel& channel : channels)
        if (channel.receive_text() != question) ++wrong;
    };
    for (int round = 0; round < 100; ++round) ask_all("to all");
    for (int round = 0; round < busy_rounds; ++round) {
      channels.front().send("to one");
      if (channels.front().receive_text() != "to one") ++wrong;
    }
    ask_all("to all again");
    std::this_thread::sleep_for(20ms);  // all are armed
    ask_all("to all at last");
    ask_all("bye");
  });
  reactor.run();
  peer.join();
  CHECK(wrong == 0);
  CHECK(closed == many);
  for (const LendingPair& pair : pairs) CHECK(pair.link->armed_together > 0);
}

TEST_CASE("what a transport lends stays lent from one message to the next") {
  LendingPair pair;
  Channel sender(std::move(pair.first));
  Channel receiver(std::move(pair.second));
  constexpr int rounds = 3000;  // several times round the ring
  std::size_t wrong = 0;
  for (int i = 0; i < rounds; ++i) {
    const std::string text = message_of(static_cast<std::size_t>(i) % 4);
    sender.send(text);
    // What goes past the channel, or in another way, takes the room as well.
    const ConstBytes pieces[] = {bytes_of(text), bytes_of("second")};
    std::size_t sent = 0;
    CHECK(sender.send_many(pieces, sent) == Status::ok);
    if (receiver.receive_text() != text) ++wrong;
    if (receiver.receive_text() != text) ++wrong;
    if (receiver.receive_text() != "second") ++wrong;
  }
  CHECK(wrong == 0);
  CHECK(sender.shutdown_write() == Status::ok);
  CHECK(sender.try_send(bytes_of("late")) != Status::ok);
}

TEST_CASE("a peer that answers through lent memory is never missed between arming and sleeping") {
  constexpr int rounds = 3000;
  LendingPair pair;
  Reactor reactor;
  int answered = 0;
  ReactorConnection::Handlers handlers;
  handlers.on_bytes = [&](ReactorConnection& self, ConstBytes) {
    if (++answered == rounds) {
      self.close();
    } else {
      self.write(bytes_of("q"));
    }
  };
  reactor.add(std::move(pair.first), std::move(handlers))->write(bytes_of("q"));
  std::thread peer([connection = std::move(pair.second)]() mutable {
    ConstBytes question;
    while (connection.peek(question) == Status::ok) {
      connection.consume(question.size());
      MutableBytes room;
      if (connection.reserve(room) != Status::ok) break;
      room[0] = std::byte{'a'};
      if (connection.commit(1) != Status::ok) break;
    }
  });
  reactor.run();
  peer.join();
  CHECK(answered == rounds);
}

TEST_CASE("a relay copies nothing between a lending transport and a socket, and passes both ends on") {
  constexpr std::size_t total = 3'000'000;
  LendingPair target;
  auto client_pair = test::socket_pair();  // not a structured binding: clang 14 lets no lambda capture those
  Connection& client = client_pair.first;
  Connection& client_end = client_pair.second;
  Reactor reactor;
  host::Scratch scratch;
  host::Pair::Outcome outcome;
  bool done = false;
  const auto pair = std::make_shared<host::Pair>(reactor, scratch, std::move(client_end), std::move(target.first),
                                                 [&](host::Pair&, const host::Pair::Outcome& told) {
                                                   outcome = told;
                                                   done = true;
                                                 });
  pair->start();
  std::thread echo([connection = std::move(target.second)]() mutable {
    ConstBytes view;
    while (connection.peek(view) == Status::ok) {
      const ConstBytes part = view.first(std::min<std::size_t>(view.size(), 10'000));
      if (!connection.write(part)) break;
      connection.consume(part.size());
    }
    (void)connection.shutdown_write();
  });
  std::thread writer([&client] {
    std::string bytes(total, '\0');
    for (std::size_t i = 0; i < total; ++i) bytes[i] = static_cast<char>(i * 7 + i / 251);
    (void)client.write(bytes_of(bytes));
    (void)client.shutdown_write();
  });
  std::size_t wrong = 0;
  std::size_t received = 0;
  std::thread reader([&] {
    std::vector<std::byte> buffer(100'000);
    while (const IoResult got = client.read(buffer)) {
      for (std::size_t i = 0; i < got.size; ++i, ++received) {
        if (buffer[i] != static_cast<std::byte>(received * 7 + received / 251)) ++wrong;
      }
    }
  });
  reactor.run();
  for (std::thread* thread : {&echo, &writer, &reader}) thread->join();
  CHECK(done);
  CHECK(outcome.status == Status::ok);
  CHECK(received == total);
  CHECK(wrong == 0);
  CHECK(outcome.to_target.in == total);
  CHECK(outcome.to_target.out == total);
  CHECK(outcome.to_client.out == total);
  CHECK(target.link->directions[0].copied_in == 0);
  CHECK(target.link->directions[1].copied_out == 0);
}

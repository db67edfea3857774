// The reactor's connections over a transport that signals only when armed, and over sockets.
#include "ferry/reactor.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "support/armed_pair.hpp"
#include "support/socket_connection.hpp"

using namespace ferry;
using namespace std::chrono_literals;
using test::ArmedPair;

namespace {

ConstBytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
std::string text_of(ConstBytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// A side that keeps what it was told.
struct Side {
  std::vector<std::string> messages;
  std::string bytes;
  bool ended = false;
  int closed = 0;
  Status status = Status::would_block;
  std::function<void(ReactorConnection&)> then;  // after each message, or run of bytes

  ReactorConnection::Handlers for_messages() {
    ReactorConnection::Handlers handlers = common();
    handlers.on_message = [this](ReactorConnection& connection, ConstBytes message) {
      messages.push_back(text_of(message));
      if (then) then(connection);
    };
    return handlers;
  }
  ReactorConnection::Handlers for_bytes() {
    ReactorConnection::Handlers handlers = common();
    handlers.on_bytes = [this](ReactorConnection& connection, ConstBytes more) {
      bytes += text_of(more);
      if (then) then(connection);
    };
    return handlers;
  }

 private:
  ReactorConnection::Handlers common() {
    ReactorConnection::Handlers handlers;
    handlers.on_closed = [this](ReactorConnection&, Status why) {
      ++closed;
      status = why;
    };
    return handlers;
  }
};

void echo(Reactor& reactor, Connection connection, Side& side) {
  ReactorConnection::Handlers handlers = side.for_messages();
  handlers.on_message = [](ReactorConnection& self, ConstBytes message) { self.send(message); };
  reactor.add(std::move(connection), std::move(handlers));
}

void check_ping_pong(Connection first, Connection second) {
  Side server;
  Side client;
  Reactor reactor;
  echo(reactor, std::move(first), server);
  client.then = [&](ReactorConnection& self) {
    if (client.messages.size() == 1000) {
      self.close();
    } else {
      self.send(bytes_of("ping"));
    }
  };
  reactor.add(std::move(second), client.for_messages())->send(bytes_of("ping"));
  reactor.run();
  CHECK(client.messages.size() == 1000);
  CHECK(client.closed == 1);
  CHECK(client.status == Status::ok);
  CHECK(server.closed == 1);
  CHECK(server.status == Status::ok);
}

}  // namespace

TEST_CASE("messages go to and fro until one side closes") {
  SUBCASE("on a transport that signals only when armed") {
    ArmedPair pair;
    check_ping_pong(std::move(pair.first), std::move(pair.second));
  }
  SUBCASE("on sockets, where both directions share a handle") {
    auto [first, second] = test::socket_pair();
    check_ping_pong(std::move(first), std::move(second));
  }
  SUBCASE("without spinning") {
    Connection::Settings settings;
    settings.wait = WaitPolicy(WaitPolicy::Mode::off, 0);
    ArmedPair pair(1u << 20, settings);
    check_ping_pong(std::move(pair.first), std::move(pair.second));
  }
  SUBCASE("spinning for long") {
    Connection::Settings settings;
    settings.wait = WaitPolicy(WaitPolicy::Mode::bounded, 10'000'000);
    auto [first, second] = test::socket_pair(settings);
    check_ping_pong(std::move(first), std::move(second));
  }
}

TEST_CASE("a peer in another thread is never missed between arming and sleeping") {
  ArmedPair pair;
  Side server;
  Reactor reactor;
  echo(reactor, std::move(pair.first), server);
  std::thread client([peer = std::move(pair.second)]() mutable {
    // Answers arrive by polling, so nothing on this side depends on a wake-up.
    const std::string ping("\0\0\0\1x", 5);
    for (int round = 0; round < 2000; ++round) {
      (void)peer.write(bytes_of(ping));
      std::string answer(5, '\0');
      for (std::size_t have = 0; have < 5;) {
        const IoResult got = peer.read(std::as_writable_bytes(std::span(answer)).subspan(have), Deadline::no_wait());
        if (got.status == Status::would_block) std::this_thread::yield();
        have += got.size;
      }
    }
    peer.abort();
  });
  reactor.run();
  client.join();
  CHECK(server.status == Status::reset);
}

TEST_CASE("writes of one turn leave as one call, in order") {
  ArmedPair pair;
  Side side;
  Reactor reactor;
  const auto writer = reactor.add(std::move(pair.first), side.for_messages());
  reactor.post([&] {
    for (int i = 0; i < 100; ++i) CHECK(writer->send(bytes_of("hello")));
    CHECK(pair.link->write_calls(0) == 0);
    reactor.post([&] {
      CHECK(pair.link->write_calls(0) == 1);
      CHECK(writer->queued_bytes() == 0);
      reactor.stop();
    });
  });
  reactor.run();
  CHECK(pair.link->write_calls(0) == 1);
}

TEST_CASE("a write per 64 KiB leaves early when much is sent in one turn") {
  ArmedPair pair(16u << 20);
  Side side;
  Reactor reactor;
  const auto writer = reactor.add(std::move(pair.first), side.for_messages());
  reactor.post([&] {
    const std::string message(60, 'm');
    for (int i = 0; i < 10 * 1024; ++i) CHECK(writer->send(bytes_of(message)));  // 10 x 64 KiB with the headers
    CHECK(pair.link->write_calls(0) == 10);
    reactor.stop();
  });
  reactor.run();
}

TEST_CASE("large messages arrive whole through a small transport") {
  Connection::Settings settings;
  settings.linger_ns = FERRY_FOREVER;  // the queue is long and a sanitizer slow
  ArmedPair pair(10'000, settings);
  Side sender;
  Side receiver;
  Reactor reactor;
  std::string large(5u << 20, 'x');
  for (std::size_t i = 0; i < large.size(); i += 997) large[i] = static_cast<char>('a' + i % 23);
  const auto writer = reactor.add(std::move(pair.first), sender.for_messages());
  reactor.add(std::move(pair.second), receiver.for_messages());
  writer->send(bytes_of("first"));
  CHECK_FALSE(writer->send(bytes_of(large)));
  writer->send(bytes_of(""));
  writer->send(bytes_of("last"));
  writer->close();
  reactor.run();
  REQUIRE(receiver.messages.size() == 4);
  CHECK(receiver.messages[0] == "first");
  CHECK((receiver.messages[1] == large));
  CHECK(receiver.messages[2].empty());
  CHECK(receiver.messages[3] == "last");
  CHECK(sender.status == Status::ok);
  CHECK(receiver.status == Status::ok);
}

TEST_CASE("a shared message goes to two readers without a copy, and is let go when it has left") {
  ArmedPair here(10'000);
  ArmedPair there(10'000);
  Side sender;
  Side receivers[2];
  Reactor reactor;
  auto large = std::make_shared<std::string>(1u << 20, 'x');
  for (std::size_t i = 0; i < large->size(); i += 997) (*large)[i] = static_cast<char>('a' + i % 23);
  const auto first = reactor.add(std::move(here.first), sender.for_messages());
  const auto second = reactor.add(std::move(there.first), sender.for_messages());
  CHECK_FALSE(first->send(SharedBytes{bytes_of(*large), large}));
  CHECK_FALSE(second->send(SharedBytes{bytes_of(*large), large}));
  CHECK(first->send(SharedBytes{bytes_of("small"), nullptr}) == false);  // still above the watermark, but queued
  CHECK(large.use_count() == 3);
  receivers[0].then = [&](ReactorConnection&) {
    if (receivers[0].messages.size() == 2) first->close();
  };
  receivers[1].then = [&](ReactorConnection&) { second->close(); };
  reactor.add(std::move(here.second), receivers[0].for_messages());
  reactor.add(std::move(there.second), receivers[1].for_messages());
  reactor.run();
  REQUIRE(receivers[0].messages.size() == 2);
  REQUIRE(receivers[1].messages.size() == 1);
  CHECK((receivers[0].messages[0] == *large));
  CHECK(receivers[0].messages[1] == "small");
  CHECK((receivers[1].messages[0] == *large));
  CHECK(large.use_count() == 1);
}

TEST_CASE("half-close: the answer to everything comes after the end") {
  ArmedPair pair;
  Side client;
  Side server;
  Reactor reactor;
  const auto asker = reactor.add(std::move(pair.first), client.for_bytes());
  ReactorConnection::Handlers handlers = server.for_bytes();
  handlers.on_end = [&](ReactorConnection& self) {
    server.ended = true;
    self.write(bytes_of("got " + server.bytes));
    self.close();
  };
  reactor.add(std::move(pair.second), std::move(handlers));
  asker->write(bytes_of("all of it"));
  asker->shutdown_write();
  CHECK_FALSE(asker->write(bytes_of("too late")));
  reactor.run();
  CHECK(server.ended);
  CHECK(client.bytes == "got all of it");
  CHECK(client.status == Status::ok);
  CHECK(server.status == Status::ok);
}

TEST_CASE("a reset reaches on_closed, once") {
  ArmedPair pair;
  Side side;
  Reactor reactor;
  reactor.add(std::move(pair.first), side.for_messages());
  reactor.post([&] { pair.second.abort(); });
  reactor.run();
  CHECK(side.closed == 1);
  CHECK(side.status == Status::reset);
}

TEST_CASE("what arrived before a write failed is still delivered") {
  ArmedPair pair;
  Side side;
  Reactor reactor;
  const auto connection = reactor.add(std::move(pair.first), side.for_bytes());
  (void)pair.second.write(bytes_of("farewell"));
  pair.second = {};  // its end, and writes to it fail
  connection->write(bytes_of("unheard"));
  reactor.run();
  CHECK(side.bytes == "farewell");
  CHECK(side.closed == 1);
  CHECK(side.status == Status::reset);
}

TEST_CASE("an end inside a message is a reset, and framing that is refused says why") {
  ArmedPair pair;
  Side side;
  Reactor reactor;
  Status expected = Status::ok;
  std::string sent;
  SUBCASE("an end inside a message") {
    sent = std::string("\0\0\0\5ab", 6);
    expected = Status::reset;
  }
  SUBCASE("a negative length") {
    sent = "\xff\xff\xff\xfe";
    expected = Status::protocol;
  }
  SUBCASE("a length above max_message") {
    sent = std::string("\x7f\0\0\0", 4);
    expected = Status::too_large;
  }
  reactor.add(std::move(pair.first), side.for_messages());
  (void)pair.second.write(bytes_of(sent));
  (void)pair.second.shutdown_write();
  reactor.run();
  CHECK(side.messages.empty());
  CHECK(side.status == expected);
}

TEST_CASE("pausing inside a handler keeps the rest for later, in order") {
  ArmedPair pair;
  Side sender;
  Side receiver;
  Reactor reactor;
  const auto writer = reactor.add(std::move(pair.first), sender.for_messages());
  receiver.then = [&](ReactorConnection& self) {
    self.pause_reading();
    reactor.post([&receiver, seen = receiver.messages.size(), self = self.shared_from_this()] {
      CHECK(receiver.messages.size() == seen);
      self->resume_reading();
    });
  };
  reactor.add(std::move(pair.second), receiver.for_messages());
  for (int i = 0; i < 50; ++i) writer->send(bytes_of(std::to_string(i)));
  writer->close();
  reactor.run();
  REQUIRE(receiver.messages.size() == 50);
  for (std::size_t i = 0; i < 50; ++i) CHECK(receiver.messages[i] == std::to_string(i));
}

TEST_CASE("handlers may close and abort themselves and others") {
  ArmedPair pair;
  ArmedPair other;
  Reactor reactor;
  Side sides[3];
  const auto victim = reactor.add(std::move(other.first), sides[0].for_messages());
  SUBCASE("abort in on_message") {
    sides[1].then = [&](ReactorConnection& self) {
      self.abort(Status::interrupted);
      victim->abort(Status::permission);
      self.abort(Status::io);
      self.close();
      CHECK_FALSE(self.send(bytes_of("nothing")));
    };
  }
  SUBCASE("throw in on_message") {
    sides[1].then = [&](ReactorConnection&) {
      victim->abort(Status::permission);
      throw std::runtime_error("on purpose");
    };
  }
  reactor.add(std::move(pair.first), sides[1].for_messages());
  const auto peer = reactor.add(std::move(pair.second), sides[2].for_messages());
  for (int i = 0; i < 5; ++i) peer->send(bytes_of("x"));
  reactor.run();
  CHECK(sides[0].status == Status::permission);
  CHECK(sides[1].messages.size() == 1);
  CHECK((sides[1].status == Status::interrupted || sides[1].status == Status::internal));
  CHECK(sides[2].status == Status::reset);
  for (const Side& side : sides) CHECK(side.closed == 1);
}

TEST_CASE("a graceful close waits for the peer to have everything, within linger") {
  Connection::Settings settings;
  settings.linger_ns = 50'000'000;
  ArmedPair pair(1000, settings);
  Side side;
  Reactor reactor;
  const auto writer = reactor.add(std::move(pair.first), side.for_bytes());
  Status expected = Status::ok;
  std::size_t size = 0;
  std::thread peer;
  SUBCASE("the queue does not leave: the peer sees a reset") {
    size = 5000;
    expected = Status::timed_out;
  }
  SUBCASE("the transport is not finished in time") {
    size = 500;
    expected = Status::timed_out;
  }
  SUBCASE("the peer reads, and wakes the loop by it") {
    size = 500;
    reactor.post([&] {
      reactor.post([&] {
        std::string all(500, '\0');
        CHECK(pair.second.read_exactly(std::as_writable_bytes(std::span(all)), Deadline::no_wait()).size == 500);
      });
    });
  }
  writer->write(bytes_of(std::string(size, 'q')));
  writer->close();
  reactor.run();
  CHECK(side.status == expected);
  if (size == 5000) {
    std::byte byte{};
    CHECK(pair.second.read(MutableBytes(&byte, 1), Deadline::no_wait()).status == Status::reset);
  }
}

TEST_CASE("destroying the reactor aborts what is left and says so") {
  ArmedPair pair;
  Side side;
  std::shared_ptr<ReactorConnection> kept;
  {
    Reactor reactor;
    kept = reactor.add(std::move(pair.first), side.for_messages());
    kept->send(bytes_of("unsent"));
  }
  CHECK(side.closed == 1);
  CHECK(side.status == Status::interrupted);
  CHECK_FALSE(kept->send(bytes_of("nothing")));
  kept->close();
  kept->abort(Status::ok);
}

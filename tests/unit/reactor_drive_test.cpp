// Transports with an engine (ferry.drive/1) in a reactor: who runs the engine, and that nothing is forgotten meanwhile.
#include <doctest/doctest.h>
#include <uv.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "ferry/reactor.hpp"
#include "reactor_engine.hpp"
#include "support/driven_pair.hpp"
#include "support/socket_connection.hpp"

using namespace ferry;
using namespace std::chrono_literals;
using test::DrivenEngine;
using test::DrivenPair;

namespace {

ConstBytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

ReactorConnection::Handlers echo() {
  ReactorConnection::Handlers handlers;
  handlers.on_message = [](ReactorConnection& self, ConstBytes message) { self.send(message); };
  return handlers;
}

/// Sends `count` messages, each after the echo of the one before, and then calls `done`.
ReactorConnection::Handlers ping(int count, std::function<void()> done) {
  ReactorConnection::Handlers handlers;
  handlers.on_message = [left = count, done = std::move(done)](ReactorConnection& self, ConstBytes message) mutable {
    if (--left > 0) return (void)self.send(message);
    done();
  };
  return handlers;
}

Connection::Settings spinning(std::int64_t bound_ns) {
  Connection::Settings settings;
  settings.wait = WaitPolicy(WaitPolicy::Mode::bounded, bound_ns);
  return settings;
}

Connection::Settings sleeping() {
  Connection::Settings settings;
  settings.wait = WaitPolicy(WaitPolicy::Mode::off, 0);
  return settings;
}

/// Reads one framed message of at most 255 bytes from a connection that nothing but tries.
std::string receive(Connection& connection) {
  std::string bytes;
  while (bytes.size() < 4 || bytes.size() < 4u + static_cast<unsigned char>(bytes[3])) {
    std::array<std::byte, 256> part;
    const IoResult result = connection.read(part, Deadline::no_wait());
    if (result.status == Status::would_block) {
      std::this_thread::yield();
      continue;
    }
    REQUIRE(result.status == Status::ok);
    bytes.append(reinterpret_cast<const char*>(part.data()), result.size);
  }
  return bytes.substr(4);
}

constexpr int rounds = 500;

}  // namespace

TEST_CASE("a reactor drives the engine of its connections, asleep and spinning, and gives it back with the last one") {
  for (const Connection::Settings& settings : {sleeping(), spinning(1'000'000)}) {
    auto engine = std::make_shared<DrivenEngine>();
    DrivenPair pair(engine, settings);
    Reactor reactor;
    reactor.add(std::move(pair.first), echo());
    const auto client = reactor.add(std::move(pair.second), ping(rounds, [&] { reactor.stop(); }));
    CHECK(engine->has_driver());
    client->send(bytes_of("ping"));
    reactor.run();
    CHECK(engine->packets_by_driver() >= 2u * rounds);
    CHECK(engine->packets_alone() == 0);
    client->close();
    reactor.run();
    CHECK_FALSE(engine->has_driver());
  }
}

TEST_CASE("on an application's loop the engine is driven as well, and gives the loop no reason to run on") {
  uv_loop_t loop;
  REQUIRE(uv_loop_init(&loop) == 0);
  auto engine = std::make_shared<DrivenEngine>();
  DrivenPair pair(engine);
  {
    Reactor reactor(&loop);
    ReactorConnection::Handlers serving;
    serving.on_message = [left = rounds](ReactorConnection& self, ConstBytes message) mutable {
      self.send(message);
      if (--left == 0) self.pause_reading();
    };
    reactor.add(std::move(pair.first), std::move(serving));
    std::weak_ptr<ReactorConnection> weak;
    const auto client = reactor.add(std::move(pair.second), ping(rounds, [&] { weak.lock()->pause_reading(); }));
    weak = client;
    client->send(bytes_of("ping"));
    uv_run(&loop, UV_RUN_DEFAULT);  // ends because nobody reads any more
    CHECK(engine->has_driver());
    CHECK(engine->packets_alone() == 0);
  }
  CHECK_FALSE(engine->has_driver());
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&loop) == 0);
}

TEST_CASE("a deadline of the engine that no handle tells of is kept") {
  auto engine = std::make_shared<DrivenEngine>();
  engine->delay(3'000'000);
  DrivenPair pair(engine, sleeping());
  Reactor reactor;
  reactor.add(std::move(pair.first), echo());
  const auto client = reactor.add(std::move(pair.second), ping(5, [&] { reactor.stop(); }));
  client->send(bytes_of("ping"));
  reactor.run();
  CHECK(engine->packets_alone() == 0);
}

TEST_CASE("more connections become ready at once than drive can list") {
  auto engine = std::make_shared<DrivenEngine>();
  Reactor reactor;
  constexpr int count = 3 * static_cast<int>(EngineDriver::listed_at_once);
  int done = 0;
  std::vector<std::shared_ptr<ReactorConnection>> clients;
  for (int i = 0; i < count; ++i) {
    DrivenPair pair(engine, sleeping());
    reactor.add(std::move(pair.first), echo());
    clients.push_back(reactor.add(std::move(pair.second), ping(20, [&] {
                                    if (++done == count) reactor.stop();
                                  })));
  }
  for (const auto& client : clients) client->send(bytes_of("ping"));
  reactor.run();
  CHECK(done == count);
  CHECK(engine->packets_alone() == 0);
}

TEST_CASE("more bytes than the engine's windows and a turn's budget go through") {
  auto engine = std::make_shared<DrivenEngine>();
  DrivenPair pair(engine);
  Reactor reactor;
  const std::string large(4u << 20, 'x');
  reactor.add(std::move(pair.first), echo());
  const auto client = reactor.add(std::move(pair.second), ping(3, [&] { reactor.stop(); }));
  client->send(bytes_of(large));
  reactor.run();
  CHECK(engine->packets_alone() == 0);
}

TEST_CASE("a second reactor and plain threads use an engine that the first reactor drives") {
  auto engine = std::make_shared<DrivenEngine>();
  Reactor first;
  DrivenPair kept(engine, sleeping());
  first.add(std::move(kept.first), echo());
  DrivenPair mixed(engine, sleeping());
  first.add(std::move(mixed.first), echo());
  CHECK(engine->has_driver());
  std::thread driving([&] { first.run(); });
  {
    Reactor second;
    const auto client = second.add(std::move(kept.second), ping(rounds, [&] { second.stop(); }));
    second.post([&] { client->send(bytes_of("ping")); });
    second.run();
  }
  for (int i = 0; i < 100; ++i) {
    REQUIRE(mixed.second.write(bytes_of({"\0\0\0\2hi", 6})));
    CHECK(receive(mixed.second) == "hi");
  }
  CHECK(engine->packets_alone() == 0);
  first.stop();
  driving.join();
}

TEST_CASE("a reactor that ends gives the engine back, and those that are left go on without it") {
  auto engine = std::make_shared<DrivenEngine>();
  DrivenPair one(engine, sleeping());
  DrivenPair other(engine, sleeping());
  Reactor lasting;
  std::shared_ptr<ReactorConnection> client;
  {
    Reactor ending;
    ending.add(std::move(one.first), echo());
    lasting.add(std::move(other.first), echo());
    client = lasting.add(std::move(other.second), ping(rounds, [&] { lasting.stop(); }));
    CHECK(engine->has_driver());
  }
  CHECK_FALSE(engine->has_driver());
  client->send(bytes_of("ping"));
  lasting.run();
  CHECK(engine->packets_alone() >= 2u * rounds);
}

// A handler that blocks while the engine believes that its driver sleeps would keep the engine's other connections
// waiting for as long.
TEST_CASE("the engine hears that its driver is awake before any handler runs") {
  auto engine = std::make_shared<DrivenEngine>();
  auto other_engine = std::make_shared<DrivenEngine>();
  DrivenPair kept(engine, sleeping());
  DrivenPair of_other(other_engine, sleeping());
  auto of_none = test::socket_pair(sleeping());
  Reactor reactor;
  int handled = 0;
  int believed_asleep = 0;
  const auto look = [&] {
    ++handled;
    if (engine->driver_sleeps()) ++believed_asleep;
    reactor.stop();
  };
  ReactorConnection::Handlers looking;
  looking.on_bytes = [&](ReactorConnection&, ConstBytes) { look(); };
  reactor.add(std::move(of_none.first), looking);
  reactor.add(std::move(of_other.first), looking);
  reactor.add(std::move(kept.first), looking);
  const std::array<std::function<void()>, 3> causes = {
      [&] { REQUIRE(of_none.second.write(bytes_of("x"))); },
      [&] { REQUIRE(of_other.second.write(bytes_of("x"))); },
      [&] { reactor.post(look); },
  };
  for (const auto& cause : causes) {
    std::thread causing([&] {
      while (!engine->driver_sleeps()) std::this_thread::yield();
      cause();
    });
    reactor.run();
    causing.join();
  }
  CHECK(handled == 3);
  CHECK(believed_asleep == 0);
}

TEST_CASE("a handler that ends every connection of the engine ends its driving in the middle of a turn") {
  auto engine = std::make_shared<DrivenEngine>();
  Reactor reactor;
  std::vector<std::shared_ptr<ReactorConnection>> all;
  int closed = 0;
  ReactorConnection::Handlers ending;
  ending.on_message = [&](ReactorConnection&, ConstBytes) {
    for (const auto& each : all) each->abort(Status::ok);
  };
  ending.on_closed = [&](ReactorConnection&, Status) { ++closed; };
  for (int i = 0; i < 4; ++i) {
    DrivenPair pair(engine, sleeping());
    all.push_back(reactor.add(std::move(pair.first), ending));
    all.push_back(reactor.add(std::move(pair.second), ending));
  }
  for (const auto& each : all) each->send(bytes_of("end"));
  reactor.run();
  CHECK(closed == 8);
  CHECK_FALSE(engine->has_driver());
}

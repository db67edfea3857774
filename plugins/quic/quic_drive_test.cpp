// Who looks for quic's packets: reactors that drive the engine, threads that wait, the engine's own thread, and all of
// them at once. Everything here shares one engine. A wake-up that is lost ends a wait at its deadline, and the test.
#include <doctest/doctest.h>
#include <uv.h>

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "ferry/reactor.hpp"
#include "quic_test_world.hpp"

using namespace ferry;
using namespace ferry::quic_test;

namespace {

constexpr int rounds = 300;
using Bytes = std::array<std::byte, 64>;

ReactorConnection::Handlers echo() {
  ReactorConnection::Handlers handlers;
  handlers.on_bytes = [](ReactorConnection& self, ConstBytes bytes) { self.write(bytes); };
  return handlers;
}

/// Serves an echo to all who come, on a thread.
class EchoServer {
 public:
  explicit EchoServer(World& world) {
    auto listener =
        reactor_.listen(world.listen(), [this](Connection client) { reactor_.add(std::move(client), echo()); });
    descriptor_ = listener->descriptor();
    thread_ = std::thread([this] { reactor_.run(); });
  }
  ~EchoServer() {
    reactor_.stop();
    thread_.join();
  }
  const std::string& descriptor() const { return descriptor_; }

 private:
  Reactor reactor_;
  std::string descriptor_;
  std::thread thread_;
};

/// Round trips of a thread that blocks; how many succeeded.
int ping(Connection& connection, int count) {
  Bytes bytes{};
  for (int i = 0; i < count; ++i) {
    if (connection.write(bytes, 10s).status != Status::ok) return i;
    if (connection.read_exactly(bytes, 10s).status != Status::ok) return i;
  }
  return count;
}

/// Round trips of a connection in a reactor; then `done`.
ReactorConnection::Handlers pinging(int count, std::function<void()> done) {
  ReactorConnection::Handlers handlers;
  handlers.on_bytes = [left = count, got = std::size_t{0}, done = std::move(done)](ReactorConnection& self,
                                                                                   ConstBytes bytes) mutable {
    got += bytes.size();
    if (got < Bytes().size()) return;
    got = 0;
    if (--left == 0) return done();
    self.write(Bytes{});
  };
  return handlers;
}

/// A pair of blocking ends, with nothing in any reactor.
struct Ends {
  Ends(World& world) {
    Listener listener = world.listen();
    auto connecting = std::async(std::launch::async, [&] { return world.connect(listener.descriptor()); });
    server = listener.accept(10s);
    client = connecting.get();
  }
  Connection client, server;
};

}  // namespace

TEST_CASE("reactors and blocking threads use one engine at once") {
  World world;
  EchoServer server(world);
  std::vector<std::future<int>> blocking;
  for (int i = 0; i < 3; ++i) {
    blocking.push_back(std::async(std::launch::async, [&] {
      Connection connection = world.connect(server.descriptor());
      return ping(connection, rounds);
    }));
  }
  std::vector<Connection> looped;
  for (int i = 0; i < 5; ++i) looped.push_back(world.connect(server.descriptor()));
  Reactor reactor;
  int done = 0;
  for (Connection& connection : looped) {
    reactor
        .add(std::move(connection), pinging(rounds,
                                            [&] {
                                              if (++done == 5) reactor.stop();
                                            }))
        ->write(Bytes{});
  }
  const auto watchdog = reactor.call_at(60s, [&] { reactor.stop(); });
  reactor.run();
  CHECK(done == 5);
  for (auto& each : blocking) CHECK(each.get() == rounds);
}

TEST_CASE("a handler that keeps the driver from its engine keeps no other thread waiting for long") {
  World world;
  Ends ends(world);
  Ends driven(world);
  Reactor reactor;
  std::promise<void> others_done;
  bool in_time = false;
  ReactorConnection::Handlers stubborn;
  stubborn.on_bytes = [&, finished = others_done.get_future().share()](ReactorConnection&, ConstBytes) {
    in_time = finished.wait_for(20s) == std::future_status::ready;
    reactor.stop();
  };
  auto answering = std::async(std::launch::async, [&] {
    Bytes bytes{};
    for (int i = 0; i < 50; ++i) {
      if (ends.server.read_exactly(bytes, 10s).status != Status::ok) return;
      if (ends.server.write(bytes, 10s).status != Status::ok) return;
    }
  });
  reactor.add(std::move(driven.server), std::move(stubborn));
  REQUIRE(driven.client.write(Bytes{}, 10s));
  auto pinged = std::async(std::launch::async, [&] {
    const int count = ping(ends.client, 50);
    others_done.set_value();
    return count;
  });
  reactor.run();
  CHECK(in_time);
  CHECK(pinged.get() == 50);
}

TEST_CASE("drivers come and go while others use the engine") {
  World world;
  Ends ends(world);
  std::atomic<bool> over{false};
  auto answering = std::async(std::launch::async, [&] {
    Bytes bytes{};
    while (ends.server.read_exactly(bytes, 10s).status == Status::ok) {
      if (ends.server.write(bytes, 10s).status != Status::ok) return;
    }
  });
  auto pinged = std::async(std::launch::async, [&] {
    int count = 0;
    while (!over && ping(ends.client, 1) == 1) ++count;
    return over.load() ? count : -1;
  });
  for (int i = 0; i < 20; ++i) {
    Ends passing(world);
    Reactor reactor;
    bool done = false;
    reactor.add(std::move(passing.server), echo());
    reactor
        .add(std::move(passing.client), pinging(20,
                                                [&] {
                                                  done = true;
                                                  reactor.stop();
                                                }))
        ->write(Bytes{});
    const auto watchdog = reactor.call_at(20s, [&] { reactor.stop(); });
    reactor.run();
    CHECK(done);
  }
  over = true;
  CHECK(pinged.get() > 0);
  (void)ends.client.close();
}

TEST_CASE("on an application's loop, which the application runs only now and then") {
  World world;
  Ends ends(world);
  uv_loop_t loop;
  REQUIRE(uv_loop_init(&loop) == 0);
  {
    Reactor reactor(&loop);
    reactor.add(std::move(ends.server), echo());
    auto pinged = std::async(std::launch::async, [&] { return ping(ends.client, 100); });
    for (int i = 0; pinged.wait_for(0ms) != std::future_status::ready; ++i) {
      uv_run(&loop, UV_RUN_NOWAIT);
      if (i % 64 == 0) std::this_thread::sleep_for(5ms);
    }
    CHECK(pinged.get() == 100);
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&loop) == 0);
}

TEST_CASE("bulk both ways at once through a reactor that drives") {
  World world;
  EchoServer server(world);
  Connection connection = world.connect(server.descriptor());
  constexpr std::size_t total = 32u << 20;
  auto writing = std::async(std::launch::async, [&] {
    const std::vector<std::byte> piece(1u << 20, std::byte{7});
    for (std::size_t sent = 0; sent < total; sent += piece.size()) {
      if (connection.write(piece, 30s).status != Status::ok) return false;
    }
    return true;
  });
  std::vector<std::byte> piece(1u << 20);
  std::size_t got = 0;
  while (got < total) {
    const IoResult result = connection.read(piece, 30s);
    if (!result) break;
    got += result.size;
  }
  CHECK(got == total);
  CHECK(writing.get());
}

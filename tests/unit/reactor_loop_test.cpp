// Running, stopping, posting, timers, listeners and connects; on the reactor's loop and on an application's.
#include <doctest/doctest.h>
#include <uv.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "event.hpp"
#include "ferry/reactor.hpp"
#include "reactor_connect_pool.hpp"
#include "support/armed_pair.hpp"
#include "support/socket_connection.hpp"

using namespace ferry;
using namespace std::chrono_literals;
using test::ArmedListener;
using test::ArmedPair;

namespace {

ConstBytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

ReactorConnection::Handlers ignoring_bytes() {
  ReactorConnection::Handlers handlers;
  handlers.on_bytes = [](ReactorConnection&, ConstBytes) {};
  return handlers;
}

}  // namespace

TEST_CASE("run returns when nothing is left to wait for") {
  Reactor reactor;
  int ran = 0;
  reactor.run();
  reactor.post([&] { reactor.post([&] { ++ran; }); });
  reactor.run();
  CHECK(ran == 1);
}

TEST_CASE("no posted task is lost, from any thread") {
  ArmedPair pair;
  Reactor reactor;
  reactor.add(std::move(pair.first), ignoring_bytes());  // keeps the loop waiting
  constexpr int each = 5000;
  std::atomic<int> begun{0};
  int ran = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      ++begun;
      for (int i = 0; i < each; ++i) {
        // Most often alone in the queue: each is then a wake-up of its own.
        if (i % 16 == 0) std::this_thread::yield();
        reactor.post([&] {
          if (++ran == 2 * each) reactor.stop();
        });
      }
    });
  }
  reactor.run();
  for (std::thread& thread : threads) thread.join();
  CHECK(ran == 2 * each);
}

namespace {

Connection::Settings spinning(std::int64_t bound_ns) {
  Connection::Settings settings;
  settings.wait = WaitPolicy(WaitPolicy::Mode::bounded, bound_ns);
  return settings;
}

/// The peer sends a message of one byte.
void feed(ArmedPair& pair) { REQUIRE(pair.second.write(bytes_of({"\0\0\0\1m", 5}))); }

ReactorConnection::Handlers on_message(std::function<void()> handler) {
  ReactorConnection::Handlers handlers;
  handlers.on_message = [handler = std::move(handler)](ReactorConnection&, ConstBytes) { handler(); };
  return handlers;
}

constexpr int many_spins = 1000;  // messages in a row; far more than one spin answers before it looks at the others

}  // namespace

TEST_CASE("a task posted while the loop spins from message to message runs before the next one") {
  ArmedPair pair(1u << 20, spinning(1'000'000'000));
  Reactor reactor;
  int received = 0;
  int at_task = 0;
  reactor.add(std::move(pair.first), on_message([&] {
                if (++received == 5) {
                  reactor.post([&] {
                    at_task = received;
                    reactor.stop();
                  });
                }
                feed(pair);  // the next attempt of the spin finds a message, as every one before it
              }));
  feed(pair);
  reactor.run();
  CHECK(at_task == 5);
}

TEST_CASE("a loop that has spun for long sleeps safely, and wakes for the next message") {
  ArmedPair pair(1u << 20, spinning(20'000));
  Reactor reactor;
  int received = 0;
  std::unique_ptr<ReactorHandle> later;
  reactor.add(std::move(pair.first), on_message([&] {
                if (++received < many_spins) return feed(pair);
                if (received > many_spins) return reactor.stop();
                later = reactor.call_at(20ms, [&] { feed(pair); });
              }));
  feed(pair);
  reactor.run();
  CHECK(received == many_spins + 1);
}

TEST_CASE("a connection that always has a message keeps the loop from no other, however long it spins") {
  ArmedPair busy(1u << 20, spinning(1'000'000'000));
  ArmedPair quiet(1u << 20, spinning(1'000'000'000));
  auto queue = std::make_shared<ArmedListener::Queue>();
  Reactor reactor;
  int received = 0;
  int others = 0;
  reactor.add(std::move(busy.first), on_message([&] {
                if (++received == many_spins) feed(quiet);
                feed(busy);
              }));
  std::vector<Connection> ends;
  reactor.listen(test::armed_listener(queue), [&](Connection client) {
    ends.push_back(std::move(client));
    if (++others == 3) reactor.stop();
  });
  reactor.add(std::move(quiet.first), on_message([&] {
                if (++others == 2) ends.push_back(queue->dial());
              }));
  feed(quiet);
  feed(busy);
  reactor.run();
  CHECK(others == 3);
}

TEST_CASE("stop from another thread ends a sleeping run, and each stop ends one run") {
  ArmedPair pair;
  Reactor reactor;
  reactor.add(std::move(pair.first), ignoring_bytes());
  for (int round = 0; round < 200; ++round) {
    std::thread stopper([&] { reactor.stop(); });
    reactor.run();
    stopper.join();
  }
  int ran = 0;
  reactor.post([&] {
    ++ran;
    reactor.stop();
  });
  reactor.run();
  CHECK(ran == 1);
}

TEST_CASE("timers fire in order and not early; cancelled ones do not") {
  Reactor reactor;
  std::vector<int> order;
  const std::int64_t start = monotonic_now_ns();
  std::int64_t last = 0;
  std::vector<std::unique_ptr<ReactorHandle>> handles;
  handles.push_back(reactor.call_at(20ms, [&] {
    order.push_back(2);
    last = monotonic_now_ns();
  }));
  handles.push_back(reactor.call_at(5ms, [&] {
    order.push_back(1);
    handles[2]->cancel();
    handles[2]->cancel();
    handles[3].reset();
  }));
  handles.push_back(reactor.call_at(10ms, [&] { order.push_back(-1); }));
  handles.push_back(reactor.call_at(10ms, [&] { order.push_back(-2); }));
  handles.push_back(reactor.call_at(10ms, [&] { handles[4].reset(); }));
  reactor.run();
  CHECK((order == std::vector<int>{1, 2}));
  CHECK(last - start >= 20'000'000);
}

TEST_CASE("a handle may outlive its reactor") {
  std::unique_ptr<ReactorHandle> timer;
  std::shared_ptr<ReactorListener> listener;
  {
    Reactor reactor;
    timer = reactor.call_at(Deadline::never(), [] {});
    listener = reactor.listen(test::armed_listener(std::make_shared<ArmedListener::Queue>()), [](Connection) {});
  }
  timer->cancel();
  listener->close();
}

TEST_CASE("a listener takes every client, and one client's failure ends nothing") {
  auto queue = std::make_shared<ArmedListener::Queue>();
  Reactor reactor;
  std::vector<Connection> accepted;
  std::vector<ferry_status> errors;
  std::vector<Connection> clients;
  std::shared_ptr<ReactorListener> listener;
  listener = reactor.listen(
      test::armed_listener(queue),
      [&](Connection connection) {
        accepted.push_back(std::move(connection));
        if (accepted.size() == 60) return listener->close();
        if (accepted.size() % 20 == 0) {
          // The next ones come while the loop sleeps.
          reactor.post([&] {
            queue->push(FERRY_RESET);
            for (int i = 0; i < 20; ++i) clients.push_back(queue->dial());
          });
        }
        if (accepted.size() == 7) throw std::runtime_error("handlers may throw");
      },
      [&](const ferry_error& error) { errors.push_back(error.status); });
  for (int i = 0; i < 20; ++i) clients.push_back(queue->dial());
  reactor.run();
  CHECK(accepted.size() == 60);
  CHECK((errors == std::vector<ferry_status>{FERRY_RESET, FERRY_RESET}));
  CHECK(queue->closed);
}

TEST_CASE("a listener without resources waits instead of spinning, and goes on afterwards") {
  auto queue = std::make_shared<ArmedListener::Queue>();
  Reactor reactor;
  int errors = 0;
  std::int64_t accepted_at = 0;
  std::shared_ptr<ReactorListener> listener;
  listener = reactor.listen(
      test::armed_listener(queue),
      [&](Connection) {
        accepted_at = monotonic_now_ns();
        listener->close();
      },
      [&](const ferry_error&) { ++errors; });
  queue->push(FERRY_NO_RESOURCES);
  const Connection client = queue->dial();
  const std::int64_t start = monotonic_now_ns();
  reactor.run();
  CHECK(errors == 1);
  CHECK(queue->accepts == 2);
  CHECK(accepted_at - start >= 100'000'000);
}

TEST_CASE("accept_budget leaves room for others within a turn") {
  auto queue = std::make_shared<ArmedListener::Queue>();
  Reactor reactor;
  std::vector<Connection> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(queue->dial());
  int accepted = 0;
  int turns_between = 0;
  std::function<void()> count = [&] {
    ++turns_between;
    if (accepted < 10) reactor.post(count);
  };
  reactor.post(count);
  ReactorLimits limits;
  limits.accept_budget = 2;
  std::shared_ptr<ReactorListener> listener;
  listener = reactor.listen(
      test::armed_listener(queue),
      [&](Connection) {
        if (++accepted == 10) listener->close();
      },
      {}, limits);
  reactor.run();
  CHECK(turns_between >= 5);
}

TEST_CASE("on an application's loop everything runs while the application runs it") {
  uv_loop_t loop;
  REQUIRE(uv_loop_init(&loop) == 0);
  std::string echoed;
  {
    Reactor reactor(&loop);
    auto [first, second] = test::socket_pair();
    ReactorConnection::Handlers server;
    server.on_bytes = [](ReactorConnection& self, ConstBytes bytes) { self.write(bytes); };
    reactor.add(std::move(first), std::move(server));
    ReactorConnection::Handlers client;
    client.on_bytes = [&](ReactorConnection& self, ConstBytes bytes) {
      echoed.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      if (echoed == "through the loop") self.close();
    };
    const auto writer = reactor.add(std::move(second), std::move(client));
    std::thread other([&] { reactor.post([&] { writer->write(bytes_of("through the loop")); }); });
    uv_run(&loop, UV_RUN_DEFAULT);
    other.join();
    // The task may have been posted before the loop had anything to wait for: it runs now at the latest.
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(echoed == "through the loop");
    const auto left = reactor.call_at(Deadline::never(), [] {});
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&loop) == 0);
}

TEST_CASE("stop ends an application's run and not its next one") {
  uv_loop_t loop;
  REQUIRE(uv_loop_init(&loop) == 0);
  {
    ArmedPair pair;
    Reactor reactor(&loop);
    reactor.add(std::move(pair.first), ignoring_bytes());
    reactor.stop();
    CHECK(uv_run(&loop, UV_RUN_DEFAULT) != 0);
    int ran = 0;
    reactor.post([&] {
      ++ran;
      reactor.post([&] {
        ++ran;
        reactor.stop();
      });
    });
    CHECK(uv_run(&loop, UV_RUN_DEFAULT) != 0);
    CHECK(ran == 2);
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&loop) == 0);
}

namespace {

/// Connects to targets that never answer, and how many are under way.
class HangingConnects {
 public:
  std::shared_ptr<ConnectPool::Job> job(const std::string& target) {
    auto job = std::make_shared<ConnectPool::Job>();
    job->target = target;
    job->run = [this](const ferry_cancel& cancel) { hang(cancel); };
    return job;
  }
  void wait_until(std::size_t running, std::size_t ended = 0) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return running_ == running && ended_ == ended; });
  }
  std::size_t most() const noexcept { return most_; }
  std::size_t ended() const noexcept { return ended_; }

 private:
  void hang(const ferry_cancel& cancel) {
    {
      const std::lock_guard lock(mutex_);
      most_ = std::max(most_, ++running_);
      changed_.notify_all();
    }
    const Event never;
    while (!never.wait_beside(&cancel, Deadline::never())) {
    }
    const std::lock_guard lock(mutex_);
    --running_;
    ++ended_;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t running_ = 0;
  std::size_t most_ = 0;
  std::size_t ended_ = 0;
};

}  // namespace

TEST_CASE("the connect pool runs so many to a target at once, the others in turn, and ends them all when told") {
  constexpr std::size_t limit = ConnectPool::max_concurrent_connects / 2;
  HangingConnects hanging;
  std::vector<std::shared_ptr<ConnectPool::Job>> jobs;
  {
    ConnectPool pool;
    for (std::size_t i = 0; i < limit + 4; ++i) {
      jobs.push_back(hanging.job("target"));
      pool.start(jobs.back());
    }
    hanging.wait_until(limit);
    pool.cancel(jobs[0]);
    pool.cancel(jobs[limit + 3]);  // has not begun, and never does
    hanging.wait_until(limit, 1);
  }
  CHECK(hanging.most() == limit);
  CHECK(hanging.ended() == limit + 1);
}

TEST_CASE("targets that do not answer leave threads to those that do") {
  constexpr std::size_t limit = ConnectPool::max_concurrent_connects;
  HangingConnects hanging;
  std::promise<void> connected;
  {
    ConnectPool pool;
    std::size_t running = 0;
    for (const std::string target : {"dead", "also dead", "dead as well"}) {
      for (std::size_t i = 0; i < 2 * limit; ++i) pool.start(hanging.job(target));
      running += (limit - running) / 2;
      hanging.wait_until(running);
    }
    const auto alive = std::make_shared<ConnectPool::Job>();
    alive->target = "alive";
    alive->run = [&](const ferry_cancel&) { connected.set_value(); };
    pool.start(alive);
    connected.get_future().wait();
  }
  CHECK(hanging.most() < limit);
}

// What spin=auto takes from a busy machine. One worker per processor computes without end; beside them two threads play
// ping-pong, with spin=auto and with spin=off in turn. Prints for each plane the workers' throughput with auto over
// that with off, as the median of paired rounds; exits 1 when one is below --limit.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "command_line.hpp"
#include "ferry/channel.hpp"
#include "ferry/reactor.hpp"
#include "ferry/runtime.hpp"
#include "support/temporary_directory.hpp"

namespace {

using namespace ferry;

constexpr std::byte message[64] = {};

/// Computes on every processor while it lives.
class Workers {
 public:
  explicit Workers(std::size_t count) : done_(count) {
    for (Count& done : done_) {
      threads_.emplace_back([this, &done] {
        for (std::uint64_t x = 1; !stop_.load(std::memory_order_relaxed);) {
          for (int i = 0; i < 1000; ++i) x = x * 6364136223846793005u + 1442695040888963407u;
          sink_.store(x, std::memory_order_relaxed);
          done.value.fetch_add(1, std::memory_order_relaxed);
        }
      });
    }
  }
  ~Workers() {
    stop_.store(true, std::memory_order_relaxed);
    for (std::thread& thread : threads_) thread.join();
  }
  std::uint64_t done() const {
    std::uint64_t sum = 0;
    for (const Count& done : done_) sum += done.value.load(std::memory_order_relaxed);
    return sum;
  }

 private:
  struct alignas(64) Count {
    std::atomic<std::uint64_t> value{0};
  };
  std::vector<Count> done_;
  std::atomic<std::uint64_t> sink_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

void echo_blocking(Connection connection) {
  Channel channel(std::move(connection));
  ConstBytes received;
  while (channel.receive_view(received) == Status::ok && channel.try_send(received) == Status::ok) {
  }
}

std::uint64_t ping_blocking(Connection connection, const std::atomic<bool>& stop) {
  Channel channel(std::move(connection));
  std::uint64_t rounds = 0;
  ConstBytes received;
  while (!stop.load(std::memory_order_relaxed) && channel.try_send(message) == Status::ok &&
         channel.receive_view(received) == Status::ok) {
    ++rounds;
  }
  return rounds;
}

void echo_reactor(Connection connection) {
  Reactor reactor;
  ReactorConnection::Handlers handlers;
  handlers.on_message = [](ReactorConnection& self, ConstBytes received) { self.send(received); };
  reactor.add(std::move(connection), std::move(handlers));
  reactor.run();
}

std::uint64_t ping_reactor(Connection connection, const std::atomic<bool>& stop) {
  std::uint64_t rounds = 0;
  Reactor reactor;
  ReactorConnection::Handlers handlers;
  handlers.on_message = [&](ReactorConnection& self, ConstBytes) {
    ++rounds;
    if (stop.load(std::memory_order_relaxed)) return self.close();
    self.send(message);
  };
  reactor.add(std::move(connection), std::move(handlers))->send(message);
  reactor.run();
  return rounds;
}

struct Rates {
  double workers = 0;  // per second
  double round_trips = 0;
};

Rates run_round(Runtime& runtime, const std::filesystem::path& folder, const std::string& spin, bool reactor,
                const Workers& workers, std::chrono::milliseconds duration) {
  Listener listener = runtime.listen("uds://" + (folder / "socket").string() + "?spin=" + spin);
  Connection client = runtime.connect_stream(listener.descriptor() + "?spin=" + spin);
  Connection server = listener.accept();
  std::atomic<bool> stop{false};
  std::uint64_t rounds = 0;
  const std::uint64_t before = workers.done();
  const auto start = std::chrono::steady_clock::now();
  std::thread echo([&] { reactor ? echo_reactor(std::move(server)) : echo_blocking(std::move(server)); });
  std::thread ping(
      [&] { rounds = reactor ? ping_reactor(std::move(client), stop) : ping_blocking(std::move(client), stop); });
  std::this_thread::sleep_for(duration);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::uint64_t after = workers.done();
  stop.store(true, std::memory_order_relaxed);
  ping.join();
  echo.join();
  return {static_cast<double>(after - before) / seconds, static_cast<double>(rounds) / seconds};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  unsigned rounds = 9;
  unsigned duration_ms = 500;
  unsigned worker_count = std::max(1u, std::thread::hardware_concurrency());
  double limit = 0;
  host::Program program("What spin=auto costs a busy machine");
  program.option("--rounds", rounds, "pairs of rounds").range(1u, 1'000u);
  program.option("--duration-ms", duration_ms, "of each round");
  program.option("--workers", worker_count, "threads that compute; 0 shows what auto gains on an idle machine");
  program.option("--limit", limit, "exit with 1 when a ratio is below it");
  if (const auto code = program.parse(argc, argv)) return *code;

  const test::TemporaryDirectory folder;
  bool within = true;
  {
    Runtime runtime;
    const Workers workers(worker_count);
    std::printf("%-9s %10s %16s %16s\n", "plane", "workers", "trips/s, off", "trips/s, auto");
    for (const bool reactor : {false, true}) {
      std::vector<double> ratios, off_trips, auto_trips;
      for (unsigned i = 0; i < rounds; ++i) {
        const std::chrono::milliseconds duration(duration_ms);
        const Rates off = run_round(runtime, folder.path(), "off", reactor, workers, duration);
        const Rates automatic = run_round(runtime, folder.path(), "auto", reactor, workers, duration);
        ratios.push_back(worker_count == 0 ? 1 : automatic.workers / off.workers);
        off_trips.push_back(off.round_trips);
        auto_trips.push_back(automatic.round_trips);
      }
      const double ratio = median(ratios);
      within = within && ratio >= limit;
      std::printf("%-9s %10.3f %16.0f %16.0f\n", reactor ? "reactor" : "blocking", ratio, median(off_trips),
                  median(auto_trips));
    }
  }
  return within ? 0 : 1;
}

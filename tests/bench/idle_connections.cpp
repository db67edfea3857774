// Many connections on one reactor: idle ones by the ten thousand, how long each takes to connect, what it costs in
// memory and what they do to one busy client; or, with --busy, all of them busy at once, each with one message under
// way: throughput, p99 and memory.
//
// The server (this process's child) runs an echo on a reactor. The driver measures a busy client's round trips without
// the idle connections and with them, in turn, and reads the server's memory before and after. Prints bytes per
// connection, the median time of connecting and both p99; exits 1 when --limit-bytes or --limit-ratio is given and
// exceeded.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "ferry/channel.hpp"
#include "ferry/endpoint.hpp"
#include "ferry/reactor.hpp"
#include "ferry/runtime.hpp"

namespace {

struct Settings {
  std::string descriptor;
  std::string plugin_dir;
  unsigned idle = 10'000;
  unsigned round_trips = 20'000;
  unsigned rounds = 5;
  double limit_bytes = 0;
  double limit_ratio = 0;
  std::vector<unsigned> busy;
  unsigned busy_ms = 1000;
};

ferry::Runtime make_runtime(const Settings& settings) {
  ferry::Config config;
  if (!settings.plugin_dir.empty()) config.plugins.plugin_dirs = {settings.plugin_dir};
  return ferry::Runtime(std::move(config));
}

void raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// Bytes of private memory of a process, in pages as the kernel counts them: a transport's shared memory apart.
double private_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  double total = 0, resident = 0, shared = 0;
  file >> total >> resident >> shared;
  return (resident - shared) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

[[noreturn]] void serve(const Settings& settings, int announce) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ferry::Runtime runtime = make_runtime(settings);
  ferry::Reactor reactor;
  auto listener = reactor.listen(runtime.listen(settings.descriptor), [&](ferry::Connection connection) {
    ferry::ReactorConnection::Handlers handlers;
    handlers.on_message = [](ferry::ReactorConnection& from, ferry::ConstBytes message) { from.send(message); };
    reactor.add(std::move(connection), std::move(handlers));
  });
  const std::string address = listener->descriptor() + "\n";
  if (::write(announce, address.data(), address.size()) < 0) ::_exit(1);
  reactor.run();
  ::_exit(0);
}

std::int64_t p99_of_round(ferry::Channel& channel, unsigned round_trips) {
  const std::array<std::byte, 64> message{};
  std::vector<std::int64_t> latencies;
  latencies.reserve(round_trips);
  for (unsigned i = 0; i < round_trips; ++i) {
    const std::int64_t start = ferry::monotonic_now_ns();
    ferry::ConstBytes reply;
    if (channel.try_send(message) != ferry::Status::ok || channel.receive_view(reply) != ferry::Status::ok) {
      throw ferry::Error(ferry::Status::reset, "measure", "busy client", "the server has gone");
    }
    latencies.push_back(ferry::monotonic_now_ns() - start);
  }
  std::sort(latencies.begin(), latencies.end());
  return latencies[latencies.size() * 99 / 100];
}

template <class Value>
Value median(std::vector<Value> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int measure(const Settings& settings, pid_t server, const std::string& address) {
  ferry::Runtime runtime = make_runtime(settings);
  ferry::Channel busy(runtime.connect_stream(address));
  p99_of_round(busy, settings.round_trips);  // warm-up
  const double before = private_bytes(server);
  double per_connection = 0;
  std::vector<double> without, with, ratios, connecting;
  for (unsigned round = 0; round < settings.rounds; ++round) {
    without.push_back(static_cast<double>(p99_of_round(busy, settings.round_trips)));
    std::vector<ferry::Connection> idle;
    for (unsigned i = 0; i < settings.idle; ++i) {
      const std::int64_t start = ferry::monotonic_now_ns();
      idle.push_back(runtime.connect_stream(address));
      connecting.push_back(static_cast<double>(ferry::monotonic_now_ns() - start));
    }
    {  // a round trip through the last one: by then the server has accepted them all
      ferry::Channel last(runtime.connect_stream(address));
      last.send("accepted?");
      last.receive();
    }
    if (round == 0) per_connection = (private_bytes(server) - before) / settings.idle;
    with.push_back(static_cast<double>(p99_of_round(busy, settings.round_trips)));
    ratios.push_back(with.back() / without.back());
  }
  const double ratio = median(ratios);
  std::printf(
      "%u idle connections: %.0f bytes each in the server, connected in %.1f us (median); p99 of a busy client %.1f us "
      "without, %.1f us with, ratio %.2f\n",
      settings.idle, per_connection, median(connecting) / 1e3, median(without) / 1e3, median(with) / 1e3, ratio);
  const bool too_big = settings.limit_bytes > 0 && per_connection > settings.limit_bytes;
  const bool too_slow = settings.limit_ratio > 0 && ratio > settings.limit_ratio;
  return too_big || too_slow ? 1 : 0;
}

/// Round trips of clients that each have one message under way all the time, driven by a reactor of our own.
class BusyClients {
 public:
  BusyClients(ferry::Runtime& runtime, const std::string& address, unsigned count) : started_(count) {
    for (unsigned i = 0; i < count; ++i) {
      ferry::ReactorConnection::Handlers handlers;
      handlers.on_message = [this, i](ferry::ReactorConnection& from, ferry::ConstBytes) { answered(from, i); };
      clients_.push_back(reactor_.add(runtime.connect_stream(address), std::move(handlers)));
    }
  }

  void run(std::chrono::milliseconds duration) {
    const auto end = reactor_.call_at(duration, [this] { reactor_.stop(); });
    for (unsigned i = 0; i < clients_.size(); ++i) send(*clients_[i], i);
    reactor_.run();
  }
  std::vector<std::int64_t>& latencies() { return latencies_; }

 private:
  void send(ferry::ReactorConnection& client, unsigned number) {
    static constexpr std::array<std::byte, 64> message{};
    started_[number] = ferry::monotonic_now_ns();
    client.send(message);
  }
  void answered(ferry::ReactorConnection& client, unsigned number) {
    latencies_.push_back(ferry::monotonic_now_ns() - started_[number]);
    send(client, number);
  }

  ferry::Reactor reactor_;
  std::vector<std::shared_ptr<ferry::ReactorConnection>> clients_;
  std::vector<std::int64_t> started_;
  std::vector<std::int64_t> latencies_;
};

int measure_busy(const Settings& settings, pid_t server, const std::string& address) {
  ferry::Runtime runtime = make_runtime(settings);
  bool too_big = false;
  for (const unsigned count : settings.busy) {
    const double before = private_bytes(server);
    BusyClients clients(runtime, address, count);
    clients.run(std::chrono::milliseconds(settings.busy_ms));
    std::vector<std::int64_t>& latencies = clients.latencies();
    if (latencies.empty()) throw ferry::Error(ferry::Status::timed_out, "measure", address, "no answer came");
    std::sort(latencies.begin(), latencies.end());
    const double each = (private_bytes(server) - before) / count;
    std::printf("%u busy clients: %.0f k round trips/s, p50 %.1f us, p99 %.1f us, %.0f bytes of private memory each\n",
                count, static_cast<double>(latencies.size()) / settings.busy_ms,
                static_cast<double>(latencies[latencies.size() / 2]) / 1e3,
                static_cast<double>(latencies[latencies.size() * 99 / 100]) / 1e3, each);
    too_big = too_big || (settings.limit_bytes > 0 && each > settings.limit_bytes);
  }
  return too_big ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  ferry::host::Program program("Memory and latency with many idle connections");
  program.option("descriptor", settings.descriptor, "Where the server listens, with the options of both sides")
      .required();
  program.option("--plugin-dir", settings.plugin_dir);
  program.option("--idle", settings.idle).show_default();
  program.option("--busy", settings.busy, "Measure so many busy clients instead, one figure for each number")
      .comma_separated();
  program.option("--busy-ms", settings.busy_ms, "How long each of those lasts").show_default();
  program.option("--round-trips", settings.round_trips).show_default();
  program.option("--rounds", settings.rounds).show_default();
  program.option("--limit-bytes", settings.limit_bytes, "Fail above this many bytes per connection");
  program.option("--limit-ratio", settings.limit_ratio, "Fail above this ratio of the p99");
  if (const auto code = program.parse(argc, argv)) return *code;
  raise_descriptor_limit();

  std::array<int, 2> announce{};
  if (::pipe(announce.data()) != 0) return 1;
  const pid_t server = ::fork();
  if (server == 0) serve(settings, announce[1]);
  ::close(announce[1]);
  std::string address;
  for (char letter = 0; ::read(announce[0], &letter, 1) == 1 && letter != '\n';) address += letter;
  int result = 1;
  try {
    ferry::Endpoint dial = ferry::parse_endpoint(address);
    dial.options = ferry::parse_endpoint(settings.descriptor).options;
    address = dial.to_string();
    result = settings.busy.empty() ? measure(settings, server, address) : measure_busy(settings, server, address);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "idle_connections: %s\n", error.what());
  }
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  return result;
}

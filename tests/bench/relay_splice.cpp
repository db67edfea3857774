// What a relay gains by moving bytes inside the kernel, for each pair of transports and size of writes.
//
// Three processes: one sends for a while as fast as it can, one takes everything, and between them this one relays, on
// the reactor and with the flows of `ferry relay`. It runs on a processor of its own; the two ends share another. Each
// pair is measured as it is and with ferry.splice/1 hidden from the relay, in turn. Prints for both the rate, the
// relay's processor time and that of all three, per GB, and the median of the rounds' ratios.
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "ferry/reactor.hpp"
#include "ferry/runtime.hpp"
#include "relay/pair.hpp"
#include "support/temporary_directory.hpp"

namespace {

using ferry::Connection;
using ferry::Deadline;

constexpr std::size_t processor_of_ends = 0;
constexpr std::size_t processor_of_relay = 1;
constexpr double bytes_per_gb = 1e9;

struct Settings {
  std::string plugin_dir;
  std::vector<std::string> transports = {"npipe", "uds", "tcp"};
  std::vector<unsigned> sizes = {65536, 4096, 512};
  unsigned rounds = 3;
  unsigned duration_ms = 300;
};

ferry::Runtime make_runtime(const Settings& settings) {
  ferry::Config config;
  if (!settings.plugin_dir.empty()) config.plugins.plugin_dirs = {settings.plugin_dir};
  return ferry::Runtime(std::move(config));
}

void pin(std::size_t processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  (void)::sched_setaffinity(0, sizeof(set), &set);  // with one processor the figures say what they say
}

double processor_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

/// What an end is told to do, and what it says when it has.
struct Order {
  char descriptor[200];
  std::size_t write_bytes;
  unsigned duration_ms;
};
struct Outcome {
  std::uint64_t bytes;
  double processor_seconds;
  char listening[200];
};

/// A process that is one end of the pair, again and again.
class End {
 public:
  template <class Body>
  explicit End(Body body) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) throw std::runtime_error("socketpair");
    process_ = ::fork();
    if (process_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(ends[0]);
      pin(processor_of_ends);
      Order order;
      while (::recv(ends[1], &order, sizeof(order), 0) == sizeof(order)) body(order, ends[1]);
      ::_exit(0);
    }
    ::close(ends[1]);
    socket_ = ends[0];
  }
  End(const End&) = delete;
  End& operator=(const End&) = delete;
  ~End() {
    ::close(socket_);
    ::waitpid(process_, nullptr, 0);
  }

  void begin(const std::string& descriptor, std::size_t write_bytes, unsigned duration_ms) const {
    Order order{{}, write_bytes, duration_ms};
    descriptor.copy(order.descriptor, sizeof(order.descriptor) - 1);
    if (::send(socket_, &order, sizeof(order), MSG_NOSIGNAL) != sizeof(order)) throw std::runtime_error("an end died");
  }
  Outcome outcome() const {
    Outcome outcome{};
    if (::recv(socket_, &outcome, sizeof(outcome), 0) != sizeof(outcome)) throw std::runtime_error("an end died");
    return outcome;
  }

 private:
  pid_t process_ = -1;
  int socket_ = -1;
};

void say(int socket, const Outcome& outcome) {
  if (::send(socket, &outcome, sizeof(outcome), MSG_NOSIGNAL) < 0) ::_exit(1);
}

void send_all(const Settings& settings, const Order& order, int socket) {
  ferry::Runtime runtime = make_runtime(settings);
  Connection connection = runtime.connect_stream(order.descriptor);
  const std::vector<std::byte> piece(order.write_bytes);
  const double before = processor_seconds();
  const std::int64_t ends_at = ferry::monotonic_now_ns() + std::int64_t{order.duration_ms} * 1'000'000;
  Outcome outcome{};
  while (ferry::monotonic_now_ns() < ends_at) outcome.bytes += connection.write(piece).size;
  (void)connection.close();
  outcome.processor_seconds = processor_seconds() - before;
  say(socket, outcome);
}

void take_all(const Settings& settings, const Order& order, int socket) {
  ferry::Runtime runtime = make_runtime(settings);
  ferry::Listener listener = runtime.listen(order.descriptor);
  Outcome outcome{};
  listener.descriptor().copy(outcome.listening, sizeof(outcome.listening) - 1);
  say(socket, outcome);
  Connection connection = listener.accept();
  std::vector<std::byte> memory(64u << 10);
  const double before = processor_seconds();
  while (const ferry::IoResult got = connection.read(memory)) outcome.bytes += got.size;
  outcome.processor_seconds = processor_seconds() - before;
  say(socket, outcome);
}

/// The same connection, of a plugin that offers nothing.
Connection without_extensions(Connection connection, ferry_connection_ops& ops) {
  const ferry::Plugin* const plugin = connection.plugin();
  const Connection::Settings settings = connection.settings();
  std::string descriptor = connection.descriptor();
  ferry_connection* const raw = connection.release();
  ops = *raw->ops;
  ops.get_extension = nullptr;
  raw->ops = &ops;
  return Connection(raw, plugin, settings, std::move(descriptor));
}

struct Figures {
  double rate = 0;   // GB/s
  double relay = 0;  // seconds of processor time per GB
  double all = 0;
  double spliced = 0;  // share of the bytes
};

class Bench {
 public:
  explicit Bench(const Settings& settings)
      : settings_(settings),
        source_([&settings](const Order& order, int socket) { send_all(settings, order, socket); }),
        sink_([&settings](const Order& order, int socket) { take_all(settings, order, socket); }),
        runtime_(make_runtime(settings)) {
    pin(processor_of_relay);
  }

  Figures run(const std::string& from, const std::string& to, std::size_t write_bytes, bool splice) {
    sink_.begin(descriptor_of(to, "target"), write_bytes, 0);
    const std::string target_at = sink_.outcome().listening;
    ferry::Listener listener = runtime_.listen(descriptor_of(from, "relay"));
    source_.begin(listener.descriptor(), write_bytes, settings_.duration_ms);
    ferry_connection_ops plain[2];
    Connection client = listener.accept();
    Connection target = runtime_.connect_stream(target_at);
    if (!splice) {
      client = without_extensions(std::move(client), plain[0]);
      target = without_extensions(std::move(target), plain[1]);
    }
    return relay(std::move(client), std::move(target));
  }

 private:
  std::string descriptor_of(const std::string& transport, const std::string& name) const {
    if (transport == "tcp") return "tcp://127.0.0.1:0";
    return transport + "://" + (directory_ / name) + "." + transport;
  }

  Figures relay(Connection client, Connection target) {
    ferry::Reactor reactor;
    ferry::host::Scratch scratch;
    ferry::host::Pair::Outcome ended;
    const double processor_before = processor_seconds();
    const std::int64_t begun_ns = ferry::monotonic_now_ns();
    auto pair = std::make_shared<ferry::host::Pair>(reactor, scratch, std::move(client), std::move(target),
                                                    [&](ferry::host::Pair&, const ferry::host::Pair::Outcome& outcome) {
                                                      ended = outcome;
                                                      reactor.stop();
                                                    });
    pair->start();
    reactor.run();
    const double seconds = static_cast<double>(ferry::monotonic_now_ns() - begun_ns) * 1e-9;
    const double relay_seconds = processor_seconds() - processor_before;
    const Outcome sent = source_.outcome();
    const Outcome taken = sink_.outcome();
    const auto& ledger = ended.to_target;
    if (sent.bytes != taken.bytes || ledger.out != taken.bytes || ledger.unaccounted() != 0) {
      throw std::runtime_error("bytes are missing");
    }
    const double gb = static_cast<double>(taken.bytes) / bytes_per_gb;
    return {gb / seconds, relay_seconds / gb, (relay_seconds + sent.processor_seconds + taken.processor_seconds) / gb,
            static_cast<double>(ledger.spliced) / static_cast<double>(ledger.out)};
  }

  const Settings& settings_;
  ferry::test::TemporaryDirectory directory_;
  End source_;
  End sink_;
  ferry::Runtime runtime_;
};

double median(const std::vector<Figures>& rounds, const std::function<double(const Figures&)>& of) {
  std::vector<double> values;
  for (const Figures& round : rounds) values.push_back(of(round));
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void print(const std::vector<Figures>& rounds) {
  std::printf(" %6.2f %6.3f %6.3f", median(rounds, [](const Figures& f) { return f.rate; }),
              median(rounds, [](const Figures& f) { return f.relay; }),
              median(rounds, [](const Figures& f) { return f.all; }));
}

void measure(const Settings& settings) {
  Bench bench(settings);
  std::printf("%-5s %-5s %6s |   copied: GB/s, relay and all s/GB |   offered: the same, and share spliced | ratio\n",
              "from", "to", "write");
  for (const std::size_t size : settings.sizes) {
    for (const std::string& from : settings.transports) {
      for (const std::string& to : settings.transports) {
        std::vector<Figures> copied, offered;
        std::vector<double> ratios;
        for (unsigned round = 0; round < settings.rounds; ++round) {
          copied.push_back(bench.run(from, to, size, false));
          offered.push_back(bench.run(from, to, size, true));
          ratios.push_back(offered.back().rate / copied.back().rate);
        }
        std::sort(ratios.begin(), ratios.end());
        std::printf("%-5s %-5s %6zu |", from.c_str(), to.c_str(), size);
        print(copied);
        std::printf(" |");
        print(offered);
        std::printf("  %3.0f%% | %.2f\n", 100 * median(offered, [](const Figures& f) { return f.spliced; }),
                    ratios[ratios.size() / 2]);
        std::fflush(stdout);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  ferry::host::Program program("A relay with and without moving bytes inside the kernel");
  program.option("--plugin-dir", settings.plugin_dir);
  program.option("--transports", settings.transports).comma_separated().show_default();
  program.option("--sizes", settings.sizes, "Bytes per write of the sender").comma_separated().show_default();
  program.option("--rounds", settings.rounds).range(1u, 1'000u).show_default();
  program.option("--duration-ms", settings.duration_ms).range(1u, 100'000u).show_default();
  if (const auto code = program.parse(argc, argv)) return *code;
  std::signal(SIGPIPE, SIG_IGN);
  try {
    measure(settings);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "relay_splice: %s\n", error.what());
    return 1;
  }
}

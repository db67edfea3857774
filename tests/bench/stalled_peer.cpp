// What one client that stops reading does to the others of its listener.
//
// The server (this process's child) runs an echo on a reactor. Many clients, on one reactor in the driver, each keep
// one request in flight; their round trips are counted for a while without a stalled client and with one, in turn. The
// stalled one has sent more than the server's answers have room for, and reads none of them. Prints both rates; exits 1
// when --limit-ratio is given and the rate without ÷ with exceeds it.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "ferry/endpoint.hpp"
#include "ferry/reactor.hpp"
#include "ferry/runtime.hpp"

namespace {

using ferry::ConstBytes;
using ferry::ReactorConnection;

constexpr std::size_t request_bytes = 64;
constexpr std::size_t stalled_bytes = 64u << 20;  // more than any transport's windows and buffers hold
constexpr std::size_t piece_bytes = 1u << 16;

struct Settings {
  std::string descriptor;
  std::string plugin_dir;
  unsigned clients = 1000;
  unsigned rounds = 5;
  unsigned duration_ms = 1000;
  double limit_ratio = 0;
};

ferry::Runtime make_runtime(const Settings& settings) {
  ferry::Config config;
  if (!settings.plugin_dir.empty()) config.plugins.plugin_dirs = {settings.plugin_dir};
  return ferry::Runtime(std::move(config));
}

[[noreturn]] void serve(const Settings& settings, int announce) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ferry::Runtime runtime = make_runtime(settings);
  ferry::Reactor reactor;
  auto listener = reactor.listen(runtime.listen(settings.descriptor), [&](ferry::Connection connection) {
    ReactorConnection::Handlers handlers;
    handlers.on_bytes = [](ReactorConnection& from, ConstBytes bytes) {
      if (!from.write(bytes)) from.pause_reading();
    };
    handlers.on_writable = [](ReactorConnection& from) { from.resume_reading(); };
    reactor.add(std::move(connection), std::move(handlers));
  });
  const std::string address = listener->descriptor() + "\n";
  if (::write(announce, address.data(), address.size()) < 0) ::_exit(1);
  reactor.run();
  ::_exit(0);
}

class Clients {
 public:
  Clients(ferry::Runtime& runtime, std::string address, unsigned count)
      : runtime_(runtime), address_(std::move(address)) {
    for (unsigned i = 0; i < count; ++i) clients_.push_back(add_client());
    for (const auto& client : clients_) client->write(request_);
  }

  /// Answers per second over that time.
  double rate(std::chrono::milliseconds duration) {
    const std::uint64_t before = answers_;
    const std::int64_t start = ferry::monotonic_now_ns();
    const auto timer = reactor_.call_at(duration, [this] { reactor_.stop(); });
    reactor_.run();
    return static_cast<double>(answers_ - before) * 1e9 / static_cast<double>(ferry::monotonic_now_ns() - start);
  }

  void stall_one() {
    ReactorConnection::Handlers handlers;
    handlers.on_bytes = [](ReactorConnection&, ConstBytes) {};
    handlers.on_writable = [this](ReactorConnection&) { push_stalled(); };
    handlers.on_closed = closed();
    stalled_ = reactor_.add(runtime_.connect_stream(address_), std::move(handlers));
    stalled_->pause_reading();
    left_ = stalled_bytes;
    push_stalled();
    rate(std::chrono::milliseconds(300));  // until both sides' buffers are full
    if (left_ == 0) throw std::runtime_error("the stalled client was never stopped by the transport");
  }

  void drop_stalled() {
    stalled_->abort(ferry::Status::interrupted);
    stalled_.reset();
    rate(std::chrono::milliseconds(100));
  }

 private:
  std::shared_ptr<ReactorConnection> add_client() {
    ReactorConnection::Handlers handlers;
    handlers.on_bytes = [this, got = std::size_t(0)](ReactorConnection& from, ConstBytes bytes) mutable {
      got += bytes.size();
      if (got < request_bytes) return;
      got = 0;
      ++answers_;
      from.write(request_);
    };
    handlers.on_closed = closed();
    return reactor_.add(runtime_.connect_stream(address_), std::move(handlers));
  }

  std::function<void(ReactorConnection&, ferry::Status)> closed() {
    return [](ReactorConnection&, ferry::Status status) {
      if (status != ferry::Status::interrupted && status != ferry::Status::ok)
        std::fprintf(stderr, "a client has ended: %s\n", std::string(describe(status)).c_str());
    };
  }

  void push_stalled() {
    while (left_ > 0) {
      left_ -= piece_bytes;
      if (!stalled_->write(piece_)) return;
    }
  }

  ferry::Runtime& runtime_;
  std::string address_;
  ferry::Reactor reactor_;
  const std::vector<std::byte> request_ = std::vector<std::byte>(request_bytes);
  const std::vector<std::byte> piece_ = std::vector<std::byte>(piece_bytes);
  std::vector<std::shared_ptr<ReactorConnection>> clients_;
  std::shared_ptr<ReactorConnection> stalled_;
  std::size_t left_ = 0;
  std::uint64_t answers_ = 0;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int measure(const Settings& settings, const std::string& address) {
  ferry::Runtime runtime = make_runtime(settings);
  ferry::Endpoint dial = ferry::parse_endpoint(address);
  dial.options = ferry::parse_endpoint(settings.descriptor).options;
  Clients clients(runtime, dial.to_string(), settings.clients);
  const std::chrono::milliseconds duration(settings.duration_ms);
  clients.rate(duration);  // warm-up
  std::vector<double> without, with, ratios;
  for (unsigned round = 0; round < settings.rounds; ++round) {
    without.push_back(clients.rate(duration));
    clients.stall_one();
    with.push_back(clients.rate(duration));
    clients.drop_stalled();
    ratios.push_back(without.back() / with.back());
  }
  const double ratio = median(ratios);
  std::printf("%u clients: %.0f answers/s without a stalled one, %.0f with it, ratio %.2f\n", settings.clients,
              median(without), median(with), ratio);
  return settings.limit_ratio > 0 && ratio > settings.limit_ratio ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  ferry::host::Program program("Throughput of many clients beside one that stops reading");
  program.option("descriptor", settings.descriptor, "Where the server listens, with the options of both sides")
      .required();
  program.option("--plugin-dir", settings.plugin_dir);
  program.option("--clients", settings.clients).show_default();
  program.option("--rounds", settings.rounds).show_default();
  program.option("--duration-ms", settings.duration_ms).show_default();
  program.option("--limit-ratio", settings.limit_ratio, "Fail above this ratio of the rates");
  if (const auto code = program.parse(argc, argv)) return *code;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);

  std::array<int, 2> announce{};
  if (::pipe(announce.data()) != 0) return 1;
  const pid_t server = ::fork();
  if (server == 0) serve(settings, announce[1]);
  ::close(announce[1]);
  std::string address;
  for (char letter = 0; ::read(announce[0], &letter, 1) == 1 && letter != '\n';) address += letter;
  int result = 1;
  try {
    result = measure(settings, address);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "stalled_peer: %s\n", error.what());
  }
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  return result;
}

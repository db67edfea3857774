// How long it takes to connect, one client after the other: for quic, that is how long its handshake takes.
//
// The server is this process's child, on a reactor or, with --blocking, one thread that accepts and waits for the
// client's end. Each client is closed before the next one connects, unless --keep leaves all of them open. Prints
// percentiles; exits 1 when --limit-us is given and the median exceeds it.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "ferry/endpoint.hpp"
#include "ferry/reactor.hpp"
#include "ferry/runtime.hpp"

namespace {

struct Settings {
  std::string descriptor;
  std::string plugin_dir;
  unsigned count = 1000;
  bool blocking = false;
  bool keep = false;
  double limit_us = 0;
};

ferry::Runtime make_runtime(const Settings& settings) {
  ferry::Config config;
  if (!settings.plugin_dir.empty()) config.plugins.plugin_dirs = {settings.plugin_dir};
  return ferry::Runtime(std::move(config));
}

void announce(int to, const std::string& descriptor) {
  const std::string line = descriptor + "\n";
  if (::write(to, line.data(), line.size()) < 0) ::_exit(1);
}

void serve_on_reactor(ferry::Runtime& runtime, const Settings& settings, int to) {
  ferry::Reactor reactor;
  const auto listener = reactor.listen(runtime.listen(settings.descriptor), [&](ferry::Connection connection) {
    ferry::ReactorConnection::Handlers handlers;
    handlers.on_bytes = [](ferry::ReactorConnection&, ferry::ConstBytes) {};
    reactor.add(std::move(connection), std::move(handlers));
  });
  announce(to, listener->descriptor());
  reactor.run();
}

void serve_blocking(ferry::Runtime& runtime, const Settings& settings, int to) {
  ferry::Listener listener = runtime.listen(settings.descriptor);
  announce(to, listener.descriptor());
  std::vector<ferry::Connection> kept;
  for (;;) {
    ferry::Connection connection = listener.accept();
    std::array<std::byte, 64> bytes;
    if (settings.keep) {
      kept.push_back(std::move(connection));
    } else if (connection.read(bytes).status == ferry::Status::end) {
      connection.close();
    }
  }
}

[[noreturn]] void serve(const Settings& settings, int to) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    ferry::Runtime runtime = make_runtime(settings);
    settings.blocking ? serve_blocking(runtime, settings, to) : serve_on_reactor(runtime, settings, to);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "connect_times: %s\n", error.what());
  }
  ::_exit(1);
}

int measure(const Settings& settings, const std::string& address) {
  ferry::Runtime runtime = make_runtime(settings);
  std::vector<ferry::Connection> kept;
  std::vector<std::int64_t> times;
  runtime.connect_stream(address).close();  // loads the plugin, and for resumption has the first ticket come
  while (times.size() < settings.count) {
    const std::int64_t before = ferry::monotonic_now_ns();
    ferry::Connection connection = runtime.connect_stream(address);
    times.push_back(ferry::monotonic_now_ns() - before);
    if (settings.keep) {
      kept.push_back(std::move(connection));
    } else {
      connection.close();
    }
  }
  std::sort(times.begin(), times.end());
  const auto us = [&](std::size_t percent) {
    return static_cast<double>(times[std::min(times.size() * percent / 100, times.size() - 1)]) / 1e3;
  };
  std::printf("%zu connects: p10 %.1f us, p50 %.1f us, p99 %.1f us\n", times.size(), us(10), us(50), us(99));
  return settings.limit_us > 0 && us(50) > settings.limit_us ? 1 : 0;
}

void raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  ferry::host::Program program("How long it takes to connect");
  program.option("descriptor", settings.descriptor, "Where the server listens, with the options of both sides")
      .required();
  program.option("--plugin-dir", settings.plugin_dir);
  program.option("--count", settings.count).range(1u, 1'000'000u).show_default();
  program.flag("--blocking", settings.blocking, "The server is one thread that waits, and no reactor");
  program.flag("--keep", settings.keep, "Leave all connections open");
  program.option("--limit-us", settings.limit_us, "Fail above this median");
  if (const auto code = program.parse(argc, argv)) return *code;
  raise_descriptor_limit();

  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) return 1;
  const pid_t server = ::fork();
  if (server == 0) serve(settings, pipe[1]);
  ::close(pipe[1]);
  std::string address;
  for (char letter = 0; ::read(pipe[0], &letter, 1) == 1 && letter != '\n';) address += letter;
  int result = 1;
  try {
    ferry::Endpoint dial = ferry::parse_endpoint(address);
    dial.options = ferry::parse_endpoint(settings.descriptor).options;
    result = measure(settings, dial.to_string());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "connect_times: %s\n", error.what());
  }
  ::kill(server, SIGKILL);
  ::waitpid(server, nullptr, 0);
  return result;
}

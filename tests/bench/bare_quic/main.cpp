// The baseline of `ferry bench --baseline quic`: what ngtcp2 does on this machine with no Ferry code around it. A
// program of its own, so that the `ferry` command links no transport's library: it starts one process of these for each
// end.
//   ferry-bare-quic listen CONTROL         writes its port to CONTROL, then follows the rounds that it reads there
//   ferry-bare-quic connect CONTROL PORT   leads them
//   ferry-bare-quic handshakes COUNT       prints how long a handshake takes, with a server process of its own
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "bench/bare_control.hpp"
#include "endpoint.hpp"

namespace ferry::bare_quic {
namespace {

std::int64_t cpu_ns() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<std::int64_t>(used.tv_sec) * 1'000'000'000 + used.tv_nsec;
}

void exchange(Endpoint& endpoint, std::uint64_t send, std::uint64_t receive) {
  Connection& connection = *endpoint.connection();
  connection.send(send);
  connection.expect(receive);
  endpoint.run_until([&] { return connection.received_all(); });
}

void lead(Endpoint& endpoint, const bench::Round& round, std::vector<std::int64_t>& latencies) {
  if (round.measure != bench::Measure::ping_pong) return exchange(endpoint, round.count * round.size, 1);
  std::uint64_t before = now_ns();
  for (std::uint64_t i = 0; i < round.count; ++i) {
    exchange(endpoint, round.size, round.size);
    const std::uint64_t after = now_ns();
    latencies.push_back(static_cast<std::int64_t>(after - before));
    before = after;
  }
}

void follow(Endpoint& endpoint, const bench::Round& round) {
  if (round.measure != bench::Measure::ping_pong) {
    exchange(endpoint, 0, round.count * round.size);
    return endpoint.connection()->send(1);
  }
  for (std::uint64_t i = 0; i < round.count; ++i) {
    exchange(endpoint, 0, round.size);
    endpoint.connection()->send(round.size);
  }
}

/// Serves rounds until the other end of `control` goes; the connection is kept going in between.
void run_rounds(Endpoint& endpoint, int control, bool leads) {
  bench::BareCommand command;
  // Outlives a round: the first bytes of the next may overtake its command, and go where those of the last one went.
  std::vector<std::uint8_t> sink;
  for (;;) {
    endpoint.run_until_readable(control);
    if (!bench::read_all(control, &command, sizeof(command))) return;
    endpoint.set_spinning(command.spinning != 0);
    sink.resize(command.round.size);
    endpoint.connection()->receive_into(sink);
    std::vector<std::int64_t> latencies;
    const std::int64_t before = cpu_ns();
    if (leads) {
      lead(endpoint, command.round, latencies);
    } else {
      follow(endpoint, command.round);
      endpoint.connection()->write_packets();
    }
    const bench::BareReport report{cpu_ns() - before, latencies.size()};
    bench::write_all(control, &report, sizeof(report));
    bench::write_all(control, latencies.data(), latencies.size() * sizeof(latencies.front()));
  }
}

void listen(int control) {
  Endpoint endpoint;
  const std::uint16_t port = endpoint.port();
  bench::write_all(control, &port, sizeof(port));
  endpoint.run_until([&] { return endpoint.connection() != nullptr && endpoint.connection()->handshake_complete(); });
  run_rounds(endpoint, control, false);
}

void connect(int control, std::uint16_t port) {
  Endpoint endpoint(port);
  endpoint.connect();
  endpoint.run_until([&] { return endpoint.connection()->handshake_complete(); });
  endpoint.connection()->open_stream();
  const char ready = 1;
  bench::write_all(control, &ready, sizeof(ready));
  run_rounds(endpoint, control, true);
}

void handshakes(std::size_t count) {
  Endpoint server;
  const pid_t child = ::fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    server.run_until([] { return false; });
  }
  Endpoint client(server.port());
  std::vector<std::uint64_t> times;
  while (times.size() < count) {
    const std::uint64_t before = now_ns();
    client.connect();
    client.run_until([&] { return client.connection()->handshake_complete(); });
    times.push_back(now_ns() - before);
    client.connection()->close();
  }
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  std::sort(times.begin(), times.end());
  std::printf("%zu handshakes: p50 %.1f us, p99 %.1f us\n", count, static_cast<double>(times[count / 2]) / 1e3,
              static_cast<double>(times[count * 99 / 100]) / 1e3);
}

void run(const std::vector<std::string>& words) {
  if (words.size() == 2 && words[0] == "listen") return listen(std::stoi(words[1]));
  if (words.size() == 3 && words[0] == "connect")
    return connect(std::stoi(words[1]), static_cast<std::uint16_t>(std::stoul(words[2])));
  if (words.size() == 2 && words[0] == "handshakes") return handshakes(std::max<std::size_t>(1, std::stoul(words[1])));
  throw std::runtime_error("usage: ferry-bare-quic listen CONTROL | connect CONTROL PORT | handshakes COUNT");
}

}  // namespace
}  // namespace ferry::bare_quic

int main(int argc, char** argv) {
  try {
    ferry::bare_quic::run({argv + 1, argv + argc});
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "ferry-bare-quic: " << error.what() << std::endl;
    return 1;
  }
}

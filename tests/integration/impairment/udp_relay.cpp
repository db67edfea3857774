// A UDP relay that is a bad network: clients send to it, it sends on to one server, and loses, delays, reorders,
// repeats and damages packets each way as it is told. Each client has a socket of its own towards the server, as behind
// a NAT; SIGUSR1 gives all of them new ones, as a NAT that has forgotten does. In user space because not every kernel
// has netem.
//
// Prints `listening ADDRESS`, one line `rebound` per SIGUSR1, and on SIGTERM what happened to packets as JSON.
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <iostream>
#include <string>
#include <system_error>
#include <vector>

#include "command_line.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "path.hpp"

namespace ferry::impairment {
namespace {

constexpr int socket_buffer_bytes = 4 << 20;
constexpr std::size_t max_datagram_bytes = 65'507;
constexpr std::size_t packets_per_turn = 64;

int checked(int result, const char* call) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), call);
  return result;
}

std::int64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

plugin::UniqueFd bound_socket() {
  plugin::UniqueFd fd(checked(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
  for (const int name : {SO_RCVBUF, SO_SNDBUF})
    checked(::setsockopt(fd.get(), SOL_SOCKET, name, &socket_buffer_bytes, sizeof(socket_buffer_bytes)), "setsockopt");
  const sockaddr_in any = loopback(0);
  checked(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof(any)), "bind");
  return fd;
}

struct Client {
  sockaddr_in address;
  plugin::UniqueFd upstream;
};

class Relay {
 public:
  Relay(std::uint16_t server_port, const Impairments& up, const Impairments& down, std::uint64_t seed)
      : server_(loopback(server_port)), front_(bound_socket()), up_(up, seed), down_(down, seed + 1) {
    ::prctl(PR_SET_TIMERSLACK, 1);
    sigset_t set;
    ::sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGUSR1}) ::sigaddset(&set, number);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    signals_ = plugin::UniqueFd(checked(::signalfd(-1, &set, SFD_CLOEXEC), "signalfd"));
  }

  std::uint16_t port() const {
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    checked(::getsockname(front_.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
    return ntohs(address.sin_port);
  }

  void run() {
    while (!ended_) {
      deliver();
      wait();
    }
    std::cout << "{\"up\": " << text(up_.counts()) << ", \"down\": " << text(down_.counts()) << "}" << std::endl;
  }

 private:
  static std::string text(const Counts& counts) {
    std::string json;
    const auto add = [&json](const char* name, std::uint64_t value) {
      json += (json.empty() ? "{\"" : ", \"") + std::string(name) + "\": " + std::to_string(value);
    };
    add("arrived", counts.arrived), add("delivered", counts.delivered), add("lost", counts.lost);
    add("overflowed", counts.overflowed), add("oversized", counts.oversized), add("duplicated", counts.duplicated),
        add("flipped", counts.flipped);
    add("truncated", counts.truncated), add("delivered_bytes", counts.delivered_bytes);
    return json + "}";
  }

  void wait() {
    std::vector<pollfd> fds = {{signals_.get(), POLLIN, 0}, {front_.get(), POLLIN, 0}};
    for (const Client& client : clients_) fds.push_back({client.upstream.get(), POLLIN, 0});
    timespec timeout{};
    const std::optional<std::int64_t> due = next_ns();
    if (due) {
      const std::int64_t left = std::max<std::int64_t>(0, *due - now_ns());
      timeout = {left / 1'000'000'000, left % 1'000'000'000};
    }
    if (::ppoll(fds.data(), fds.size(), due ? &timeout : nullptr, nullptr) < 0 && errno != EINTR) checked(-1, "ppoll");
    for (std::size_t i = 2; i < fds.size(); ++i)
      if (fds[i].revents != 0) from_server(i - 2);
    if (fds[1].revents != 0) from_clients();
    if (fds[0].revents != 0) on_signal();
  }

  std::optional<std::int64_t> next_ns() const {
    const auto up = up_.next_ns(), down = down_.next_ns();
    return up && down ? std::min(up, down) : up ? up : down;
  }

  /// Nothing when there is none. A server that is not there answers with ICMP, which a relay does not pass on.
  std::optional<Path::Packet> receive(int fd, sockaddr_in* sender) {
    socklen_t size = sizeof(*sender);
    const ssize_t got = ::recvfrom(fd, buffer_.data(), buffer_.size(), 0, reinterpret_cast<sockaddr*>(sender),
                                   sender != nullptr ? &size : nullptr);
    if (got < 0) return std::nullopt;
    return Path::Packet(buffer_.begin(), buffer_.begin() + got);
  }

  void from_clients() {
    sockaddr_in sender{};
    for (std::size_t i = 0; i < packets_per_turn; ++i) {
      auto packet = receive(front_.get(), &sender);
      if (!packet) return;
      up_.arrive(std::move(*packet), client_at(sender), now_ns());
    }
  }

  void from_server(std::size_t client) {
    for (std::size_t i = 0; i < packets_per_turn; ++i) {
      auto packet = receive(clients_[client].upstream.get(), nullptr);
      if (!packet) return;
      down_.arrive(std::move(*packet), client, now_ns());
    }
  }

  std::size_t client_at(const sockaddr_in& address) {
    const auto same = [&](const Client& client) {
      return client.address.sin_port == address.sin_port && client.address.sin_addr.s_addr == address.sin_addr.s_addr;
    };
    const auto found = std::find_if(clients_.begin(), clients_.end(), same);
    if (found != clients_.end()) return static_cast<std::size_t>(found - clients_.begin());
    clients_.push_back({address, upstream()});
    return clients_.size() - 1;
  }

  plugin::UniqueFd upstream() const {
    plugin::UniqueFd fd = bound_socket();
    checked(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&server_), sizeof(server_)), "connect");
    return fd;
  }

  // What the system does not take is lost, as anywhere on a path.
  void deliver() {
    const std::int64_t now = now_ns();
    while (auto next = up_.take(now))
      static_cast<void>(::send(clients_[next->second].upstream.get(), next->first.data(), next->first.size(), 0));
    while (auto next = down_.take(now)) {
      const sockaddr_in& to = clients_[next->second].address;
      static_cast<void>(::sendto(front_.get(), next->first.data(), next->first.size(), 0,
                                 reinterpret_cast<const sockaddr*>(&to), sizeof(to)));
    }
  }

  void on_signal() {
    signalfd_siginfo signal{};
    checked(static_cast<int>(::read(signals_.get(), &signal, sizeof(signal))), "read signalfd");
    if (signal.ssi_signo != SIGUSR1) {
      ended_ = true;
      return;
    }
    for (Client& client : clients_) {
      plugin::UniqueFd fresh = upstream();  // made before the old one goes, whose port it would else be given again
      client.upstream = std::move(fresh);
    }
    std::cout << "rebound" << std::endl;
  }

  sockaddr_in server_;
  plugin::UniqueFd front_;
  plugin::UniqueFd signals_;
  Path up_;
  Path down_;
  std::vector<Client> clients_;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(max_datagram_bytes);
  bool ended_ = false;
};

int run(int argc, char** argv) {
  std::uint16_t port = 0;
  std::uint64_t seed = 1;
  double delay_ms = 0, jitter_ms = 0, rate_mbit = 0;
  bool one_way = false;
  Impairments impairments;
  host::Program program("Relays UDP on loopback to a port, and makes a bad network of the way.");
  program.option("PORT", port, "The server's port on 127.0.0.1").required();
  program.option("--seed", seed, "Of all that is random").show_default();
  program.option("--delay-ms", delay_ms, "Of each packet, each way");
  program.option("--jitter-ms", jitter_ms, "Up to so much more, which reorders");
  program.option("--rate-mbit", rate_mbit, "Bits per second each way, in millions");
  program.option("--queue-bytes", impairments.queue_bytes, "What may wait for the rate").show_default();
  program.option("--max-payload", impairments.max_payload, "Drop what is larger").show_default();
  for (const auto& [name, share] :
       std::initializer_list<std::pair<const char*, double*>>{{"--loss", &impairments.loss},
                                                              {"--duplicate", &impairments.duplicate},
                                                              {"--flip", &impairments.flip},
                                                              {"--truncate", &impairments.truncate}}) {
    program.option(name, *share, "Share of packets").range(0.0, 1.0);
  }
  program.flag("--one-way", one_way, "Impair only what clients send");
  if (const auto code = program.parse(argc, argv)) return *code;
  impairments.delay_ns = static_cast<std::int64_t>(delay_ms * 1e6);
  impairments.jitter_ns = static_cast<std::int64_t>(jitter_ms * 1e6);
  impairments.rate = static_cast<std::int64_t>(rate_mbit * 1e6);
  Relay relay(port, impairments, one_way ? Impairments() : impairments, seed);
  std::cout << "listening 127.0.0.1:" << relay.port() << std::endl;
  relay.run();
  return 0;
}

}  // namespace
}  // namespace ferry::impairment

int main(int argc, char** argv) {
  try {
    return ferry::impairment::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "udp_relay: " << error.what() << std::endl;
    return 1;
  }
}

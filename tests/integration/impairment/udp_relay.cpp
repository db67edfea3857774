// A UDP relay that is a bad network: clients send to it, it sends on to one server, and loses, delays, reorders,
// repeats and damages packets each way as it is told; ECN marks pass, or are set or cleared. Each client has a socket
// of its own towards the server, as behind a NAT. In user space because not every kernel has netem.
//
// Prints `listening ADDRESS`, and on SIGTERM what happened to packets as JSON. Meanwhile it takes commands, one a line
// of standard input, and answers each by `done`:
//   rebind             every client has a new address towards the server, as behind a NAT that has forgotten
//   lose BYTES         the next packet towards the server of at least so many bytes is lost
//   mark BYTES         the next one is marked as having met congestion (ECN) instead, if its sender knows that
//   max-payload BYTES  what is larger is dropped from now on, each way
#include <arpa/inet.h>
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
#include <cstring>
#include <ctime>
#include <iostream>
#include <sstream>
#include <stdexcept>
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

plugin::UniqueFd bound_socket(sockaddr_in address) {
  plugin::UniqueFd fd(checked(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
  for (const int name : {SO_RCVBUF, SO_SNDBUF})
    checked(::setsockopt(fd.get(), SOL_SOCKET, name, &socket_buffer_bytes, sizeof(socket_buffer_bytes)), "setsockopt");
  const int on = 1;
  checked(::setsockopt(fd.get(), IPPROTO_IP, IP_RECVTOS, &on, sizeof(on)), "setsockopt");
  address.sin_port = 0;
  checked(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), "bind");
  return fd;
}

/// Room for the one control message that either direction needs, the ECN field.
struct alignas(cmsghdr) Control {
  std::array<char, CMSG_SPACE(sizeof(int))> bytes{};
};

/// @param peer  null on a connected socket
msghdr message_of(iovec& part, Control& control, sockaddr_in* peer) {
  msghdr message{};
  message.msg_name = peer;
  message.msg_namelen = peer != nullptr ? sizeof(*peer) : 0;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  return message;
}

struct Client {
  sockaddr_in address;
  plugin::UniqueFd upstream;
};

class Relay {
 public:
  Relay(const sockaddr_in& server, const Impairments& up, const Impairments& down, std::uint64_t seed)
      : server_(server), front_(bound_socket(server)), up_(up, seed), down_(down, seed + 1) {
    ::prctl(PR_SET_TIMERSLACK, 1);
    sigset_t set;
    ::sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT}) ::sigaddset(&set, number);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    signals_ = plugin::UniqueFd(checked(::signalfd(-1, &set, SFD_CLOEXEC), "signalfd"));
  }

  std::string address() const {
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    checked(::getsockname(front_.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
    std::array<char, INET_ADDRSTRLEN> text{};
    ::inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
    return std::string(text.data()) + ":" + std::to_string(ntohs(address.sin_port));
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
    add("truncated", counts.truncated), add("ecn_capable", counts.ecn_capable), add("congested", counts.congested);
    add("delivered_bytes", counts.delivered_bytes), add("largest_delivered", counts.largest_delivered);
    return json + "}";
  }

  void wait() {
    std::vector<pollfd> fds = {
        {signals_.get(), POLLIN, 0}, {front_.get(), POLLIN, 0}, {has_commands_ ? STDIN_FILENO : -1, POLLIN, 0}};
    const std::size_t first_client = fds.size();
    for (const Client& client : clients_) fds.push_back({client.upstream.get(), POLLIN, 0});
    timespec timeout{};
    const std::optional<std::int64_t> due = next_ns();
    if (due) {
      const std::int64_t left = std::max<std::int64_t>(0, *due - now_ns());
      timeout = {left / 1'000'000'000, left % 1'000'000'000};
    }
    if (::ppoll(fds.data(), fds.size(), due ? &timeout : nullptr, nullptr) < 0 && errno != EINTR) checked(-1, "ppoll");
    for (std::size_t i = first_client; i < fds.size(); ++i)
      if (fds[i].revents != 0) from_server(i - first_client);
    if (fds[1].revents != 0) from_clients();
    if (fds[2].revents != 0) take_commands();
    ended_ = fds[0].revents != 0;
  }

  std::optional<std::int64_t> next_ns() const {
    const auto up = up_.next_ns(), down = down_.next_ns();
    return up && down ? std::min(up, down) : up ? up : down;
  }

  /// Nothing when there is none. A server that is not there answers with ICMP, which a relay does not pass on.
  std::optional<Packet> receive(int fd, sockaddr_in* sender) {
    iovec part{buffer_.data(), buffer_.size()};
    Control control;
    msghdr message = message_of(part, control, sender);
    const ssize_t got = ::recvmsg(fd, &message, 0);
    if (got < 0) return std::nullopt;
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    const bool has_tos = header != nullptr && header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TOS;
    const std::uint8_t tos = has_tos ? *CMSG_DATA(header) : std::uint8_t{0};
    return Packet{{buffer_.begin(), buffer_.begin() + got}, static_cast<std::uint8_t>(tos & ecn_mask)};
  }

  /// What the system does not take is lost, as anywhere on a path.
  static void send(int fd, Packet& packet, sockaddr_in* to) {
    iovec part{packet.bytes.data(), packet.bytes.size()};
    Control control;
    msghdr message = message_of(part, control, to);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    const int tos = packet.ecn;
    header->cmsg_level = IPPROTO_IP;
    header->cmsg_type = IP_TOS;
    header->cmsg_len = CMSG_LEN(sizeof(tos));
    std::memcpy(CMSG_DATA(header), &tos, sizeof(tos));
    static_cast<void>(::sendmsg(fd, &message, 0));
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
    plugin::UniqueFd fd = bound_socket(server_);
    checked(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&server_), sizeof(server_)), "connect");
    return fd;
  }

  void deliver() {
    const std::int64_t now = now_ns();
    while (auto next = up_.take(now)) send(clients_[next->second].upstream.get(), next->first, nullptr);
    while (auto next = down_.take(now)) send(front_.get(), next->first, &clients_[next->second].address);
  }

  void take_commands() {
    std::array<char, 256> text;
    const ssize_t got = ::read(STDIN_FILENO, text.data(), text.size());
    has_commands_ = got > 0;
    if (!has_commands_) return;
    commands_.append(text.data(), static_cast<std::size_t>(got));
    for (std::size_t end; (end = commands_.find('\n')) != std::string::npos; commands_.erase(0, end + 1)) {
      obey(commands_.substr(0, end));
      std::cout << "done" << std::endl;
    }
  }

  void obey(const std::string& command) {
    std::istringstream words(command);
    std::string verb;
    std::size_t bytes = 0;
    words >> verb >> bytes;
    if (verb == "rebind") {
      rebind();
    } else if (verb == "lose") {
      up_.lose_next(bytes);
    } else if (verb == "mark") {
      up_.mark_next(bytes);
    } else if (verb == "max-payload") {
      up_.set_max_payload(bytes);
      down_.set_max_payload(bytes);
    } else {
      throw std::runtime_error("no such command: " + command);
    }
  }

  void rebind() {
    for (Client& client : clients_) {
      plugin::UniqueFd fresh = upstream();  // made before the old one goes, whose port it would else be given again
      client.upstream = std::move(fresh);
    }
  }

  sockaddr_in server_;
  plugin::UniqueFd front_;
  plugin::UniqueFd signals_;
  Path up_;
  Path down_;
  std::vector<Client> clients_;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(max_datagram_bytes);
  bool has_commands_ = true;
  std::string commands_;  // the beginning of one, perhaps
  bool ended_ = false;
};

int run(int argc, char** argv) {
  std::uint16_t port = 0;
  std::uint64_t seed = 1;
  double delay_ms = 0, jitter_ms = 0, rate_mbit = 0;
  bool one_way = false;
  std::string address = "127.0.0.1";
  Impairments impairments;
  host::Program program("Relays UDP to a port of this machine, and makes a bad network of the way.");
  program.option("PORT", port, "The server's port").required();
  program.option("--address", address, "The server's address, which the relay has as well").show_default();
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
  program.flag("--bleach", impairments.bleach, "Clear ECN marks");
  program.flag("--one-way", one_way, "Impair only what clients send");
  if (const auto code = program.parse(argc, argv)) return *code;
  impairments.delay_ns = static_cast<std::int64_t>(delay_ms * 1e6);
  impairments.jitter_ns = static_cast<std::int64_t>(jitter_ms * 1e6);
  impairments.rate = static_cast<std::int64_t>(rate_mbit * 1e6);
  sockaddr_in server{};
  server.sin_family = AF_INET;
  server.sin_port = htons(port);
  if (::inet_pton(AF_INET, address.c_str(), &server.sin_addr) != 1) throw std::runtime_error("no address: " + address);
  Relay relay(server, impairments, one_way ? Impairments() : impairments, seed);
  std::cout << "listening " << relay.address() << std::endl;
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

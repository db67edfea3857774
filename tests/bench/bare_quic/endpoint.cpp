#include "endpoint.hpp"

#include <netinet/udp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

namespace ferry::bare_quic {
namespace {

constexpr const char* alpn = "bare";
constexpr std::size_t batch = 8;
constexpr std::size_t buffer_bytes = 65'536;  // GRO joins what is as long as one datagram can be
constexpr int socket_buffer_bytes = 4 << 20;

void check(int result, const char* call) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), call);
}

void set_option(int fd, int level, int name, int value, const char* call) {
  check(::setsockopt(fd, level, name, &value, sizeof(value)), call);
}

std::size_t gro_size(msghdr& message, std::size_t otherwise) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_UDP || header->cmsg_type != UDP_GRO) continue;
    int size = 0;
    std::memcpy(&size, CMSG_DATA(header), sizeof(size));
    return static_cast<std::size_t>(size);
  }
  return otherwise;
}

}  // namespace

Endpoint::Endpoint() : server_(true), credentials_(true, alpn) { bind(); }

Endpoint::Endpoint(std::uint16_t server_port) : server_(false), credentials_(false, alpn) {
  bind();
  remote_.sin_family = AF_INET;
  remote_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  remote_.sin_port = htons(server_port);
  check(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&remote_), sizeof(remote_)), "connect");
}

void Endpoint::bind() {
  ::prctl(PR_SET_TIMERSLACK, 1);  // pacing asks for microseconds, the default gives 50 of them
  socket_ = plugin::UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  check(socket_.get(), "socket");
  set_option(socket_.get(), SOL_SOCKET, SO_RCVBUF, socket_buffer_bytes, "SO_RCVBUF");
  set_option(socket_.get(), SOL_SOCKET, SO_SNDBUF, socket_buffer_bytes, "SO_SNDBUF");
  set_option(socket_.get(), SOL_UDP, UDP_GRO, 1, "UDP_GRO");
  set_option(socket_.get(), IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE, "IP_MTU_DISCOVER");
  local_.sin_family = AF_INET;
  local_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  check(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&local_), sizeof(local_)), "bind");
  socklen_t size = sizeof(local_);
  check(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&local_), &size), "getsockname");
  buffers_.resize(batch * buffer_bytes);
}

void Endpoint::connect() {
  connection_ = std::make_unique<Connection>(socket_.get(), local_, remote_, credentials_, nullptr);
}

void Endpoint::run_until(const std::function<bool()>& done) {
  while (!done()) wait(-1);
  if (connection_) connection_->write_packets();  // acknowledges what ended it
}

void Endpoint::run_until_readable(int fd) {
  while (!wait(fd)) {
  }
}

bool Endpoint::wait(int other_fd) {
  timespec timeout{};
  const timespec* limit = nullptr;
  if (connection_ && connection_->closed()) connection_.reset();
  if (connection_) {
    connection_->handle_expiry();
    connection_->write_packets();
    const std::uint64_t now = now_ns();
    const std::uint64_t left = connection_->expiry() > now ? connection_->expiry() - now : 0;
    if (left < UINT64_MAX - now) limit = &timeout;
    if (!spinning_ || other_fd >= 0) {
      timeout.tv_sec = static_cast<time_t>(left / NGTCP2_SECONDS);
      timeout.tv_nsec = static_cast<long>(left % NGTCP2_SECONDS);
    }
  }
  if (spinning_ && other_fd < 0) {
    receive();
    return false;
  }
  std::array<pollfd, 2> fds{{{socket_.get(), POLLIN, 0}, {other_fd, POLLIN, 0}}};
  const int ready = ::ppoll(fds.data(), fds.size(), limit, nullptr);
  if (ready < 0 && errno != EINTR) check(ready, "ppoll");
  if (fds[0].revents != 0) receive();
  return fds[1].revents != 0;
}

void Endpoint::receive() {
  std::array<mmsghdr, batch> messages{};
  std::array<iovec, batch> parts{};
  std::array<sockaddr_in, batch> senders{};
  alignas(cmsghdr) std::array<std::array<char, CMSG_SPACE(sizeof(int))>, batch> controls{};
  for (std::size_t i = 0; i < batch; ++i) {
    parts[i] = {buffers_.data() + i * buffer_bytes, buffer_bytes};
    msghdr& message = messages[i].msg_hdr;
    message.msg_iov = &parts[i];
    message.msg_iovlen = 1;
    message.msg_name = &senders[i];
    message.msg_namelen = sizeof(senders[i]);
    message.msg_control = controls[i].data();
    message.msg_controllen = controls[i].size();
  }
  const int count = ::recvmmsg(socket_.get(), messages.data(), batch, 0, nullptr);
  // ECONNREFUSED: the other process has ended before this one, which `control` tells as well.
  if (count < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNREFUSED)) return;
  check(count, "recvmmsg");
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    if (server_) remote_ = senders[i];
    on_datagrams(static_cast<std::uint8_t*>(parts[i].iov_base), messages[i].msg_len,
                 gro_size(messages[i].msg_hdr, messages[i].msg_len));
  }
}

void Endpoint::on_datagrams(const std::uint8_t* data, std::size_t size, std::size_t packet_size) {
  while (size > 0) {
    const std::size_t part = std::min(size, packet_size);
    on_packet(data, part);
    data += part;
    size -= part;
  }
}

void Endpoint::on_packet(const std::uint8_t* packet, std::size_t size) {
  ngtcp2_pkt_hd header{};
  const bool initial = server_ && (packet[0] & 0x80) != 0 && ngtcp2_accept(&header, packet, size) == 0;
  if (initial && !(connection_ && connection_->is_from(header.scid))) {
    connection_ = std::make_unique<Connection>(socket_.get(), local_, remote_, credentials_, &header);
  }
  if (connection_ && !connection_->closed()) connection_->read_packet(packet, size);
}

}  // namespace ferry::bare_quic

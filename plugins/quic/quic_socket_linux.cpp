#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ferry/sdk/os_error.hpp"
#include "quic_socket.hpp"

namespace ferry::quic {
namespace {

using plugin::UniqueFd;

// A full window of a fast peer arrives while the engine's thread waits for a processor.
constexpr int receive_buffer_bytes = 4 << 20;
constexpr std::uint8_t ecn_mask = 3;

UniqueFd open_socket(int family) {
  UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP));
  if (!fd) throw plugin::os_failure(errno);
  return fd;
}

bool is_unspecified(const SocketAddress& address) noexcept {
  if (address.family() == AF_INET) {
    return reinterpret_cast<const sockaddr_in&>(address.storage).sin_addr.s_addr == htonl(INADDR_ANY);
  }
  return IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_addr) != 0;
}

/// An IPv4 peer of a dual-stack socket; null, of a connected socket, is none.
bool is_mapped(const SocketAddress* address) noexcept {
  return address != nullptr && address->family() == AF_INET6 &&
         IN6_IS_ADDR_V4MAPPED(&reinterpret_cast<const sockaddr_in6&>(address->storage).sin6_addr) != 0;
}

void set(int fd, int level, int name, int value) noexcept {
  (void)::setsockopt(fd, level, name, &value, sizeof(value));
}

/// What the control messages of a received datagram say.
struct Arrival {
  std::uint8_t ecn = 0;
  std::size_t segment = 0;  // 0: one datagram
};

Arrival read_control(msghdr& message, SocketAddress& local) noexcept {
  Arrival out;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    const unsigned char* data = CMSG_DATA(header);
    if (header->cmsg_level == SOL_UDP && header->cmsg_type == UDP_GRO) {
      int segment;
      std::memcpy(&segment, data, sizeof(segment));
      out.segment = static_cast<std::size_t>(segment);
    } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TOS) {
      out.ecn = *data & ecn_mask;
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_TCLASS) {
      int traffic_class;
      std::memcpy(&traffic_class, data, sizeof(traffic_class));
      out.ecn = static_cast<std::uint8_t>(traffic_class) & ecn_mask;
    } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, data, sizeof(info));
      if (local.family() == AF_INET) {
        reinterpret_cast<sockaddr_in&>(local.storage).sin_addr = info.ipi_addr;
      }
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, data, sizeof(info));
      auto& address = reinterpret_cast<sockaddr_in6&>(local.storage);
      address.sin6_addr = info.ipi6_addr;
      if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) address.sin6_scope_id = info.ipi6_ifindex;
    }
  }
  return out;
}

template <class Value>
void add_control(msghdr& message, cmsghdr*& header, int level, int type, const Value& value) noexcept {
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof(value));
  std::memcpy(CMSG_DATA(header), &value, sizeof(value));
  message.msg_controllen += CMSG_SPACE(sizeof(value));
  header = reinterpret_cast<cmsghdr*>(static_cast<char*>(message.msg_control) + message.msg_controllen);
}

void add_source(msghdr& message, cmsghdr*& header, const SocketAddress& local) noexcept {
  if (local.family() == AF_INET) {
    in_pktinfo info{};
    info.ipi_spec_dst = reinterpret_cast<const sockaddr_in&>(local.storage).sin_addr;
    add_control(message, header, IPPROTO_IP, IP_PKTINFO, info);
  } else {
    in6_pktinfo info{};
    const auto& address = reinterpret_cast<const sockaddr_in6&>(local.storage);
    info.ipi6_addr = address.sin6_addr;
    info.ipi6_ifindex = address.sin6_scope_id;
    add_control(message, header, IPPROTO_IPV6, IPV6_PKTINFO, info);
  }
}

}  // namespace

ReceiveBuffers::ReceiveBuffers() : bytes_(new std::uint8_t[batch * datagram_bytes]) {
  for (std::size_t i = 0; i < batch; ++i) pieces_[i] = {bytes_.get() + i * datagram_bytes, datagram_bytes};
}

UdpSocket::UdpSocket(UniqueFd fd, int family, bool connected) noexcept
    : fd_(std::move(fd)), family_(family), connected_(connected) {}

UdpSocket UdpSocket::connected(const SocketAddress& remote, const SocketAddress* local) {
  UdpSocket out(open_socket(remote.family()), remote.family(), true);
  out.set_options();
  if (local != nullptr && ::bind(out.fd(), local->get(), local->size) != 0) throw plugin::os_failure(errno);
  if (::connect(out.fd(), remote.get(), remote.size) != 0) throw plugin::os_failure(errno);
  out.local_ = SocketAddress::local_of(out.fd());
  return out;
}

UdpSocket UdpSocket::bound(const SocketAddress& local, bool dual_stack) {
  UdpSocket out(open_socket(local.family()), local.family(), false);
  if (local.family() == AF_INET6) set(out.fd(), IPPROTO_IPV6, IPV6_V6ONLY, dual_stack ? 0 : 1);
  out.wildcard_ = is_unspecified(local);
  out.set_options();
  // No SO_REUSEADDR: on UDP it would let a second listener take the port's datagrams.
  if (::bind(out.fd(), local.get(), local.size) != 0) throw plugin::os_failure(errno);
  out.local_ = SocketAddress::local_of(out.fd());
  return out;
}

void UdpSocket::set_options() noexcept {
  int granted = receive_buffer_bytes;
  if (::setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &granted, sizeof(granted)) != 0) {
    set(fd(), SOL_SOCKET, SO_RCVBUF, receive_buffer_bytes);
  }
  set(fd(), SOL_SOCKET, SO_SNDBUF, receive_buffer_bytes / 4);
  set(fd(), SOL_UDP, UDP_GRO, 1);
  int unused = 0;
  socklen_t size = sizeof(unused);
  gso_ = ::getsockopt(fd(), SOL_UDP, UDP_SEGMENT, &unused, &size) == 0;
  // QUIC must not be fragmented; PROBE sets DF and leaves finding the path's MTU to us (RFC 9000, section 14).
  if (family_ == AF_INET6) {
    set(fd(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    set(fd(), IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    if (wildcard_) set(fd(), IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  }
  // On an IPv6 socket these concern the IPv4 peers of a dual-stack one.
  set(fd(), IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  set(fd(), IPPROTO_IP, IP_RECVTOS, 1);
  if (wildcard_ && family_ == AF_INET) set(fd(), IPPROTO_IP, IP_PKTINFO, 1);
}

int UdpSocket::take_pending_error() noexcept {
  int error = 0;
  socklen_t size = sizeof(error);
  return ::getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : 0;
}

std::size_t UdpSocket::known_max_payload() const noexcept {
  int mtu = 0;
  socklen_t size = sizeof(mtu);
  const bool ipv6 = family_ == AF_INET6;
  if (::getsockopt(fd(), ipv6 ? IPPROTO_IPV6 : IPPROTO_IP, ipv6 ? IPV6_MTU : IP_MTU, &mtu, &size) != 0) return 0;
  const int headers = (ipv6 ? 40 : 20) + 8;
  return mtu > headers ? static_cast<std::size_t>(mtu - headers) : 0;
}

std::size_t UdpSocket::receive(ReceiveBuffers& buffers, PacketHandler& handler, std::uint64_t now,
                               std::size_t messages) noexcept {
  messages = std::min(messages, ReceiveBuffers::batch);
  for (std::size_t i = 0; i < messages; ++i) {
    msghdr& message = buffers.messages_[i].msg_hdr;
    message = {};
    message.msg_name = &buffers.from_[i].storage;
    message.msg_namelen = sizeof(buffers.from_[i].storage);
    message.msg_iov = &buffers.pieces_[i];
    message.msg_iovlen = 1;
    message.msg_control = buffers.controls_[i].bytes.data();
    message.msg_controllen = buffers.controls_[i].bytes.size();
  }
  const int count = ::recvmmsg(fd(), buffers.messages_.data(), static_cast<unsigned>(messages), MSG_DONTWAIT, nullptr);
  if (count < 0) {
    if (errno != EAGAIN && errno != EINTR) handler.on_socket_error(errno);
    return 0;
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    msghdr& message = buffers.messages_[i].msg_hdr;
    if ((message.msg_flags & MSG_TRUNC) != 0) continue;
    buffers.from_[i].size = message.msg_namelen;
    SocketAddress local = local_;
    const Arrival arrival = read_control(message, local);
    std::span<const std::uint8_t> rest(static_cast<const std::uint8_t*>(message.msg_iov->iov_base),
                                       buffers.messages_[i].msg_len);
    const std::size_t segment = arrival.segment == 0 ? rest.size() : arrival.segment;
    while (!rest.empty()) {
      const std::size_t size = std::min(segment, rest.size());
      handler.on_packet({local, buffers.from_[i], arrival.ecn, rest.first(size)}, now);
      rest = rest.subspan(size);
    }
  }
  return static_cast<std::size_t>(count);
}

bool UdpSocket::send_once(const Burst& burst, std::span<const std::uint8_t> bytes, int& error) noexcept {
  alignas(cmsghdr) char control[128];
  iovec piece{const_cast<std::uint8_t*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  auto* header = reinterpret_cast<cmsghdr*>(control);
  if (!connected_) {
    message.msg_name = const_cast<sockaddr_storage*>(&burst.remote->storage);
    message.msg_namelen = burst.remote->size;
    if (wildcard_) add_source(message, header, *burst.local);
  }
  if (burst.ecn != 0) {
    const int ecn = burst.ecn;
    if (family_ == AF_INET || is_mapped(burst.remote)) {
      add_control(message, header, IPPROTO_IP, IP_TOS, ecn);
    } else {
      add_control(message, header, IPPROTO_IPV6, IPV6_TCLASS, ecn);
    }
  }
  if (bytes.size() > burst.segment) {
    add_control(message, header, SOL_UDP, UDP_SEGMENT, static_cast<std::uint16_t>(burst.segment));
  }
  if (message.msg_controllen == 0) message.msg_control = nullptr;
  ssize_t sent;
  do {
    sent = ::sendmsg(fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  error = sent < 0 ? errno : 0;
  return sent >= 0;
}

std::size_t UdpSocket::send(const Burst& burst) noexcept {
  std::span<const std::uint8_t> rest = burst.bytes;
  while (!rest.empty()) {
    const std::size_t size = std::min(gso_ ? rest.size() : burst.segment, rest.size());
    int error = 0;
    if (!send_once(burst, rest.first(size), error)) {
      if (error == EAGAIN || error == ENOBUFS) break;
      // Some drivers refuse what is offloaded to them, and may say so only now.
      if (size > burst.segment && (error == EIO || error == EINVAL || error == EOPNOTSUPP)) {
        gso_ = false;
        continue;
      }
      // Anything else (EMSGSIZE of an MTU probe, EPERM of a firewall, what ICMP said of an earlier datagram): lost.
      if (error != EMSGSIZE) send_error_ = error;
    }
    rest = rest.subspan(size);
  }
  return burst.bytes.size() - rest.size();
}

}  // namespace ferry::quic

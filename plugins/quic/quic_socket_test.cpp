// The UDP socket by itself: bursts that the kernel segments, or refuses to, and the marks that datagrams carry.
#include "quic_socket.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "quic_test_address.hpp"

using namespace ferry::quic;

namespace {

constexpr std::size_t segment = 1200;
constexpr std::uint8_t ect0 = 2;  // RFC 3168
using Bytes = std::vector<std::uint8_t>;

SocketAddress ipv6(const in6_addr& at) {
  SocketAddress out;
  out.size = sizeof(sockaddr_in6);
  auto& address = reinterpret_cast<sockaddr_in6&>(out.storage);
  address.sin6_family = AF_INET6;
  address.sin6_addr = at;
  return out;
}

bool has_ipv6() {
  const ferry::plugin::UniqueFd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const SocketAddress address = ipv6(in6addr_loopback);
  return fd && ::bind(fd.get(), address.get(), address.size) == 0;
}

class Receiver final : public PacketHandler {
 public:
  explicit Receiver(UdpSocket& socket) : socket_(socket) {}
  void on_packet(const Packet& packet, std::uint64_t) override {
    sizes.push_back(packet.bytes.size());
    bytes.insert(bytes.end(), packet.bytes.begin(), packet.bytes.end());
    marks.push_back(packet.ecn);
    from = packet.remote;
    at = packet.local;
  }
  void on_socket_error(int error) override { FAIL("error " << error); }
  void on_writable() override {}

  void receive(std::size_t count) {
    while (sizes.size() < count) {
      pollfd ready{socket_.fd(), POLLIN, 0};
      REQUIRE(::poll(&ready, 1, 5000) == 1);
      (void)socket_.receive(*buffers_, *this, 0);
    }
  }

  std::vector<std::size_t> sizes;
  std::vector<std::uint8_t> marks;
  Bytes bytes;
  SocketAddress from, at;

 private:
  UdpSocket& socket_;
  std::unique_ptr<ReceiveBuffers> buffers_ = std::make_unique<ReceiveBuffers>();
};

Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(i / segment + i % 241);
  return out;
}

/// Five whole datagrams and a shorter one, marked.
void expect_burst(UdpSocket& from, UdpSocket& to, const SocketAddress* remote) {
  const Bytes sent = pattern(5 * segment + 300);
  Receiver receiver(to);
  CHECK(from.send({&from.local(), remote, ect0, segment, sent}) == sent.size());
  CHECK(from.take_send_error() == 0);
  receiver.receive(6);
  CHECK(receiver.sizes == std::vector<std::size_t>{segment, segment, segment, segment, segment, 300});
  CHECK(receiver.bytes == sent);
  CHECK(receiver.marks == std::vector<std::uint8_t>(6, ect0));
}

}  // namespace

TEST_CASE("a burst arrives as the datagrams that it was made of, with their mark") {
  UdpSocket server = UdpSocket::bound(ipv4_loopback(), false);
  UdpSocket client = UdpSocket::connected(server.local());
  expect_burst(client, server, nullptr);
  const SocketAddress to = client.local();
  expect_burst(server, client, &to);
}

TEST_CASE("so it does over IPv6, and from a socket of both versions") {
  if (!has_ipv6()) return;
  UdpSocket server = UdpSocket::bound(ipv6(in6addr_loopback), false);
  UdpSocket client = UdpSocket::connected(server.local());
  expect_burst(client, server, nullptr);

  UdpSocket both = UdpSocket::bound(ipv6(in6addr_any), true);
  SocketAddress here = ipv4_loopback();
  reinterpret_cast<sockaddr_in&>(here.storage).sin_port =
      reinterpret_cast<const sockaddr_in6&>(both.local().storage).sin6_port;
  UdpSocket old = UdpSocket::connected(here);
  Receiver receiver(both);
  CHECK(old.send({&old.local(), nullptr, ect0, segment, pattern(10)}) == 10);
  receiver.receive(1);
  CHECK(receiver.marks.front() == ect0);  // the IPv4 peer of a dual-stack socket
  const Bytes answer = pattern(2 * segment);
  Receiver back(old);
  CHECK(both.send({&receiver.at, &receiver.from, ect0, segment, answer}) == answer.size());
  back.receive(2);
  CHECK(back.bytes == answer);
  CHECK(back.marks == std::vector<std::uint8_t>(2, ect0));
}

TEST_CASE("where the kernel refuses to segment, the datagrams of a burst leave one by one, and the next ones too") {
  UdpSocket server = UdpSocket::bound(ipv4_loopback(), false);
  UdpSocket client = UdpSocket::connected(server.local());
  const int on = 1;  // without checksums the kernel segments nothing: EINVAL
  REQUIRE(::setsockopt(client.fd(), SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on)) == 0);
  const std::uint16_t size = segment;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(size))] = {};
  Bytes bytes = pattern(2 * segment);
  iovec piece{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_UDP;
  header->cmsg_type = UDP_SEGMENT;
  header->cmsg_len = CMSG_LEN(sizeof(size));
  std::memcpy(CMSG_DATA(header), &size, sizeof(size));
  REQUIRE(::sendmsg(client.fd(), &message, 0) < 0);  // so it is here
  for (int burst = 0; burst < 3; ++burst) expect_burst(client, server, nullptr);
}

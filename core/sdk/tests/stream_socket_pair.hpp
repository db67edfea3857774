// A StreamSocket, over loopback TCP or a Unix socket, and the plain socket at its other end.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "ferry/sdk/accept_socket.hpp"
#include "ferry/sdk/stream_socket.hpp"
#include "support/raw_transport.hpp"

namespace ferry::plugin::test {

struct LoopbackListener {
  LoopbackListener() {
    socket.reset(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&any), sizeof(any)) == 0);
    REQUIRE(::listen(socket.get(), 16) == 0);
    REQUIRE(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  }
  UniqueFd dial() const {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
    return fd;
  }
  UniqueFd socket;
  sockaddr_in address{};
  socklen_t size = sizeof(address);
};

/// A non-blocking StreamSocket and a blocking plain socket at its other end.
struct Pair {
  using Kind = StreamSocket::Kind;
  explicit Pair(Kind kind = Kind::network) {
    if (kind == Kind::local) {
      int ends[2];
      REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
      plain.reset(ends[0]);
      REQUIRE(::fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
      ours = std::make_unique<StreamSocket>(UniqueFd(ends[1]), kind);
      return;
    }
    LoopbackListener listener;
    plain = listener.dial();
    Interrupt interrupt;
    UniqueFd accepted;
    REQUIRE(accept_socket(listener.socket.get(), interrupt, ferry::test::soon(), accepted) == FERRY_OK);
    const int on = 1;
    ::setsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ours = std::make_unique<StreamSocket>(std::move(accepted), kind);
  }
  std::int64_t write(std::string_view text, std::int64_t deadline = ferry::test::soon()) const {
    const ferry_iovec piece{text.data(), text.size()};
    return ours->write(&piece, 1, 0, deadline);
  }
  /// Writes until both kernels' buffers are full; returns how many bytes that took.
  std::size_t fill() const {
    const std::string block(64 * 1024, 'x');
    std::size_t all = 0;
    for (std::int64_t size = 0; (size = write(block, FERRY_NO_WAIT)) > 0;) all += static_cast<std::size_t>(size);
    // What the peer's kernel has acknowledged makes room again, a moment later.
    pollfd entry{ours->fd(), POLLOUT, 0};
    while (::poll(&entry, 1, 200) > 0) {
      const std::int64_t size = write(block, FERRY_NO_WAIT);
      if (size > 0) all += static_cast<std::size_t>(size);
    }
    return all;
  }
  std::size_t drain_plain(ssize_t& last) const {
    std::vector<char> buffer(256 * 1024);
    std::size_t all = 0;
    while ((last = ::recv(plain.get(), buffer.data(), buffer.size(), 0)) > 0) all += static_cast<std::size_t>(last);
    return all;
  }
  std::unique_ptr<StreamSocket> ours;
  UniqueFd plain;
};

inline void reset(UniqueFd& socket) {
  const linger at_once{1, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  socket.reset();
}

}  // namespace ferry::plugin::test

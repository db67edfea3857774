// Not a model for a transport: no options, no pooling of system calls.
#pragma once

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <limits>
#include <system_error>
#include <utility>

#include "ferry/connection.hpp"
#include "ferry/plugin.hpp"

namespace ferry::test {

class SocketConnection : public plugin::Connection<SocketConnection> {
 public:
  /// Owns `fd`.
  explicit SocketConnection(int fd) : fd_(fd), interrupt_(::eventfd(0, EFD_CLOEXEC)) {}
  ~SocketConnection() {
    ::close(fd_);
    ::close(interrupt_);
  }

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline) {
    return blocking(
        POLLIN, deadline, [&] { return ::recv(fd_, data, size, MSG_DONTWAIT); }, FERRY_END);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t, std::int64_t deadline) {
    msghdr message{};
    message.msg_iov = reinterpret_cast<iovec*>(const_cast<ferry_iovec*>(pieces));
    message.msg_iovlen = count;
    return blocking(
        POLLOUT, deadline, [&] { return ::sendmsg(fd_, &message, MSG_DONTWAIT | MSG_NOSIGNAL); }, 0);
  }
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) {
    out.handle = fd_;
    out.events = interest == FERRY_READ ? FERRY_POLL_IN : FERRY_POLL_OUT;
    return FERRY_OK;
  }
  ferry_status shutdown_write() { return ::shutdown(fd_, SHUT_WR) == 0 ? FERRY_OK : FERRY_IO; }
  void interrupt() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(interrupt_, &one, sizeof(one));
  }
  ferry_status finish(std::int64_t) {
    (void)::shutdown(fd_, SHUT_WR);
    return FERRY_OK;
  }
  void describe(ferry_connection_info&) {}

 private:
  template <class Call>
  std::int64_t blocking(short events, std::int64_t deadline, Call call, std::int64_t when_zero) {
    for (;;) {
      const ssize_t count = call();
      if (count > 0) return count;
      if (count == 0) return when_zero;
      if (errno == EPIPE || errno == ECONNRESET) return FERRY_RESET;
      if (errno == EINTR) continue;
      if (errno != EAGAIN) return FERRY_IO;
      if (deadline == FERRY_NO_WAIT) return FERRY_WOULD_BLOCK;
      pollfd waits[2] = {{fd_, events, 0}, {interrupt_, POLLIN, 0}};
      const int ready = ::poll(waits, 2, timeout_ms(deadline));
      if (ready == 0) return FERRY_TIMED_OUT;
      if (ready > 0 && waits[1].revents != 0 && waits[0].revents == 0) return FERRY_INTERRUPTED;
    }
  }
  static int timeout_ms(std::int64_t deadline) {
    if (deadline == FERRY_FOREVER) return -1;
    const std::int64_t left = deadline - monotonic_now_ns();
    if (left <= 0) return 0;
    constexpr std::int64_t most = std::numeric_limits<int>::max();
    return static_cast<int>(std::min((left + 999'999) / 1'000'000, most));
  }

  int fd_;
  int interrupt_;
};

/// A ferry::Connection over `fd`, which it owns.
inline ferry::Connection over_socket(int fd, ferry::Connection::Settings settings = {}) {
  return ferry::Connection((new SocketConnection(fd))->abi(), nullptr, settings, "socket");
}

/// Two connected ends.
inline std::pair<ferry::Connection, ferry::Connection> socket_pair(ferry::Connection::Settings settings = {}) {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    throw std::system_error(errno, std::generic_category(), "socketpair");
  }
  return {over_socket(fds[0], settings), over_socket(fds[1], settings)};
}

}  // namespace ferry::test

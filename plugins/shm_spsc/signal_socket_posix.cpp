#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "ferry/sdk/poll_wait.hpp"
#include "signal_socket.hpp"

namespace ferry::shm_spsc {
namespace {

/// More than an honest peer leaves: it signals once for each arm.
constexpr std::size_t drained_bytes = 64;

}  // namespace

void SignalSocket::raise() noexcept {
  const char byte = 0;
  (void)::send(fd(), &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool SignalSocket::drain() noexcept {
  char scratch[drained_bytes];
  for (;;) {
    const ssize_t size = ::recv(fd(), scratch, sizeof(scratch), MSG_DONTWAIT);
    if (size > 0) return true;
    if (size == 0) return false;
    if (errno != EINTR) return errno == EAGAIN;
  }
}

bool hung_up(int socket) noexcept {
  pollfd entry{socket, POLLRDHUP, 0};
  return plugin::poll_until(&entry, 1, FERRY_NO_WAIT) > 0;
}

ferry_status SignalSocket::sleep(std::int64_t deadline_ns, plugin::Interrupt& interrupt) noexcept {
  return plugin::wait_ready(fd(), POLLIN, deadline_ns, interrupt);
}

SignalSocket::~SignalSocket() {
  if (socket_) ::shutdown(fd(), SHUT_RDWR);
}

}  // namespace ferry::shm_spsc

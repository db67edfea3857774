#include <cerrno>

#include "ferry/sdk/accept_socket.hpp"
#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/poll_wait.hpp"

namespace ferry::plugin {
namespace {

/// Errors that accept(2) reports of a client that died in the queue, not of the listener; each takes that client out.
bool is_of_one_client(int error) noexcept {
  switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EINTR:
      return true;
    default:
      return false;
  }
}

}  // namespace

ferry_status accept_socket(int listening, Interrupt& interrupt, std::int64_t deadline_ns, UniqueFd& out,
                           PeerAddress* peer) noexcept {
  for (;;) {
    sockaddr* address = nullptr;
    socklen_t* size = nullptr;
    if (peer != nullptr) {
      peer->size = sizeof(peer->storage);
      address = reinterpret_cast<sockaddr*>(&peer->storage);
      size = &peer->size;
    }
    const int fd = ::accept4(listening, address, size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      out.reset(fd);
      return FERRY_OK;
    }
    if (is_of_one_client(errno)) continue;
    if (errno == EINVAL) return FERRY_CLOSED;
    if (errno != EAGAIN) return status_of_errno(errno);
    const ferry_status status = wait_ready(listening, POLLIN, deadline_ns, interrupt);
    if (status != FERRY_OK) return status;
  }
}

}  // namespace ferry::plugin

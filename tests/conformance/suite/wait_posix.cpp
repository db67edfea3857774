#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "check.hpp"
#include "wait.hpp"

namespace ferry::conformance {

bool becomes_ready(const ferry_pollable& pollable, int timeout_ms) {
  short events = 0;
  if ((pollable.events & FERRY_POLL_IN) != 0) events = static_cast<short>(events | POLLIN);
  if ((pollable.events & FERRY_POLL_OUT) != 0) events = static_cast<short>(events | POLLOUT);
  pollfd waited{static_cast<int>(pollable.handle), events, 0};
  return ::poll(&waited, 1, timeout_ms) == 1;
}

CancelHandle::CancelHandle() : handle_(::eventfd(0, EFD_CLOEXEC)) { require(handle_ >= 0, "eventfd"); }

CancelHandle::~CancelHandle() { ::close(static_cast<int>(handle_)); }

void CancelHandle::cancel() { require(::eventfd_write(static_cast<int>(handle_), 1) == 0, "eventfd_write"); }

}  // namespace ferry::conformance

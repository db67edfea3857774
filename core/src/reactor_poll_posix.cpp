// What the reactor needs of the system beside libuv: an event that cancels a blocking connect, and a look at the loop's
// own descriptor.
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "reactor_poll.hpp"

namespace ferry {

CancelEvent::CancelEvent() : handle_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (handle_ < 0)
    throw Error(Status::no_resources, "make", "cancellation event", "raise the limit of open files", errno);
}

CancelEvent::~CancelEvent() { ::close(static_cast<int>(handle_)); }

void CancelEvent::set() noexcept {
  // Fails only when the counter is full, and then the descriptor is readable already.
  (void)::eventfd_write(static_cast<int>(handle_), 1);
}

bool loop_has_events(int backend_fd) noexcept {
  pollfd entry{backend_fd, POLLIN, 0};
  return ::poll(&entry, 1, 0) != 0;
}

}  // namespace ferry

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "event.hpp"
#include "ferry/error.hpp"

namespace ferry {
namespace {
int fd_of(std::int64_t handle) noexcept { return static_cast<int>(handle); }
}  // namespace

Event::Event() : handle_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (handle_ < 0)
    throw Error(Status::no_resources, "make", "event descriptor", "raise the limit of open files", errno);
}

Event::~Event() { ::close(fd_of(handle_)); }

void Event::set() noexcept {
  // Fails only when the counter is full, and then the descriptor is readable already.
  (void)::eventfd_write(fd_of(handle_), 1);
}

void Event::clear() noexcept {
  eventfd_t count = 0;
  (void)::eventfd_read(fd_of(handle_), &count);  // fails only when it is not set
}

bool Event::wait_beside(const ferry_cancel* other, Deadline deadline) const noexcept {
  std::array<pollfd, 2> events{{{fd_of(handle_), POLLIN, 0}, {-1, POLLIN, 0}}};
  if (other != nullptr) events[1].fd = fd_of(other->handle);
  ::poll(events.data(), events.size(), deadline.timeout_ms());
  return events[1].revents != 0;
}

}  // namespace ferry

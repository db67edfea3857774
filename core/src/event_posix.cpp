#include <sys/eventfd.h>

#include <cerrno>

#include "event.hpp"
#include "ferry/error.hpp"

namespace ferry {

Event::Event() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!fd_) throw Error(Status::no_resources, "make", "event descriptor", "raise the limit of open files", errno);
}

void Event::set() noexcept {
  // Fails only when the counter is full, and then the descriptor is readable already.
  (void)::eventfd_write(fd_.get(), 1);
}

void Event::clear() noexcept {
  eventfd_t count = 0;
  (void)::eventfd_read(fd_.get(), &count);  // fails only when it is not set
}

}  // namespace ferry

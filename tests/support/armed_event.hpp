// An event as shared memory would have it: the writer pays for a wake-up only when the reader said that it sleeps.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "ferry/plugin.hpp"

namespace ferry::test {

/// Signalled once per arming. Its calls are made under the lock of what it tells about.
class ArmedEvent {
 public:
  ArmedEvent() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_ < 0) throw plugin::Failure(FERRY_NO_RESOURCES, "cannot make an event", errno);
  }
  ~ArmedEvent() { ::close(fd_); }
  ArmedEvent(const ArmedEvent&) = delete;
  ArmedEvent& operator=(const ArmedEvent&) = delete;

  std::int32_t arm(bool ready) {
    eventfd_t count = 0;
    (void)::eventfd_read(fd_, &count);
    armed_ = !ready;
    return ready ? FERRY_READY : FERRY_ARMED;
  }
  void signal() {
    if (std::exchange(armed_, false)) (void)::eventfd_write(fd_, 1);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
  bool armed_ = false;
};

}  // namespace ferry::test

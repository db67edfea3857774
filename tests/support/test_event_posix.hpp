#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "ferry/plugin.hpp"

namespace ferry::test {

/// Stays set until it is cleared; writable always. Any thread.
class TestEvent {
 public:
  TestEvent() : fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (fd_ < 0) throw plugin::Failure(FERRY_NO_RESOURCES, "cannot make an event", errno);
  }
  ~TestEvent() { ::close(fd_); }
  TestEvent(const TestEvent&) = delete;
  TestEvent& operator=(const TestEvent&) = delete;

  void set() { (void)::eventfd_write(fd_, 1); }
  void clear() {
    eventfd_t count = 0;
    (void)::eventfd_read(fd_, &count);
  }
  std::int64_t handle() const { return fd_; }

 private:
  int fd_;
};

}  // namespace ferry::test

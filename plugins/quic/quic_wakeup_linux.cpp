#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "quic_wakeup.hpp"

namespace ferry::quic {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;

/// FUTEX_WAIT_BITSET, because its time-out is absolute and on CLOCK_MONOTONIC. Returns 0 or an errno.
int futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t deadline_ns) noexcept {
  const timespec until{deadline_ns / ns_per_s, deadline_ns % ns_per_s};
  const long result = ::syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected,
                                deadline_ns == FERRY_FOREVER ? nullptr : &until, nullptr, FUTEX_BITSET_MATCH_ANY);
  return result == 0 ? 0 : errno;
}

}  // namespace

void sleep_while(std::atomic<std::uint32_t>& word, std::uint32_t value, std::int64_t deadline_ns) noexcept {
  (void)futex_wait(word, value, deadline_ns);
}

void wake_one(std::atomic<std::uint32_t>& word) noexcept {
  ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

Wakeup::~Wakeup() {
  const int fd = descriptor_.load(std::memory_order_relaxed);
  if (fd >= 0) ::close(fd);
}

int Wakeup::descriptor() noexcept {
  int fd = descriptor_.load(std::memory_order_acquire);  // pairs with the exchange below
  if (fd >= 0) return fd;
  const int made = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (made < 0) return -1;
  if (descriptor_.compare_exchange_strong(fd, made, std::memory_order_acq_rel)) return made;
  ::close(made);
  return fd;
}

bool Wakeup::arm() noexcept {
  const int fd = descriptor();
  if (fd < 0) return false;
  become(idle);
  eventfd_t count;
  if (owed_ > 0 && ::eventfd_read(fd, &count) == 0) owed_ -= count;
  become(polled);
  return true;
}

void Wakeup::become(std::uint32_t state) noexcept {
  const std::uint32_t before = state_.exchange(state, std::memory_order_seq_cst);  // pairs with notify
  if (armed_ && before == idle) ++owed_;
  armed_ = state == polled;
}

bool Wakeup::take() noexcept {
  std::uint32_t expected = polled;
  if (!armed_ || !state_.compare_exchange_strong(expected, idle, std::memory_order_acq_rel)) return false;
  armed_ = false;  // nothing is owed
  return true;
}

void Wakeup::sleep(std::int64_t deadline_ns) noexcept {
  while (state_.load(std::memory_order_acquire) == sleeping) {  // pairs with wake
    if (futex_wait(state_, sleeping, deadline_ns) == ETIMEDOUT) {
      disarm();
      return;
    }
  }
}

void Wakeup::wake() noexcept {
  const std::uint32_t waiter = state_.exchange(idle, std::memory_order_acq_rel);
  if (waiter == sleeping) {
    wake_one(state_);
  } else if (waiter == polled) {
    (void)::eventfd_write(descriptor_.load(std::memory_order_acquire), 1);
  } else if (waiter == leading) {
    (void)::eventfd_write(lead_fd_.load(std::memory_order_relaxed), 1);
  }
}

}  // namespace ferry::quic

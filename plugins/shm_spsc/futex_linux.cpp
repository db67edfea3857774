#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <ctime>

#include "futex.hpp"

namespace ferry::shm_spsc {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;

// The operations without FUTEX_PRIVATE_FLAG: a private futex is found by its address and never wakes another process.
long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* deadline) noexcept {
  return ::syscall(SYS_futex, &word, operation, value, deadline, nullptr, FUTEX_BITSET_MATCH_ANY);
}

}  // namespace

bool futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t deadline_ns) noexcept {
  const timespec deadline{deadline_ns / second_ns, deadline_ns % second_ns};
  // The bit set form takes an absolute deadline, of CLOCK_MONOTONIC.
  return futex(word, FUTEX_WAIT_BITSET, expected, &deadline) == 0 || errno != ETIMEDOUT;
}

void futex_wake(std::atomic<std::uint32_t>& word) noexcept { (void)futex(word, FUTEX_WAKE, INT_MAX, nullptr); }

}  // namespace ferry::shm_spsc

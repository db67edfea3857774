#include <algorithm>
#include <cerrno>
#include <ctime>

#include "ferry/sdk/poll_wait.hpp"

namespace ferry::plugin {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t slice_ns = 10'000'000;  // between looks at an interrupt that could not get an eventfd

ferry_status poll_failure(int error) noexcept { return error == ENOMEM ? FERRY_NO_RESOURCES : FERRY_IO; }

/// Sleeps on the first `count` entries beside `waker`, which goes into the next; FERRY_OK for any of them,
/// FERRY_INTERRUPTED for the waker alone.
ferry_status wait_beside(pollfd* entries, nfds_t count, int waker, std::int64_t deadline_ns) noexcept {
  entries[count] = {waker, POLLIN, 0};
  const int ready = poll_until(entries, waker >= 0 ? count + 1 : count, deadline_ns);
  if (ready < 0) return ready;
  return ready == 1 && entries[count].revents != 0 ? FERRY_INTERRUPTED : FERRY_OK;
}

}  // namespace

std::int64_t monotonic_ns() noexcept {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * second_ns + now.tv_nsec;
}

int poll_until(pollfd* entries, nfds_t count, std::int64_t deadline_ns) noexcept {
  for (;;) {
    timespec timeout{};
    if (deadline_ns != FERRY_FOREVER && deadline_ns != FERRY_NO_WAIT) {
      // A negative deadline is past; subtracting from it could overflow.
      const std::int64_t left_ns = deadline_ns < 0 ? 0 : std::max<std::int64_t>(deadline_ns - monotonic_ns(), 0);
      timeout = {left_ns / second_ns, left_ns % second_ns};
    }
    const int ready = ::ppoll(entries, count, deadline_ns == FERRY_FOREVER ? nullptr : &timeout, nullptr);
    if (ready > 0) return ready;
    if (ready == 0) return out_of_time(deadline_ns);
    if (errno != EINTR) return poll_failure(errno);
  }
}

ferry_status wait_ready(int fd, short events, std::int64_t deadline_ns, Interrupt& interrupt) noexcept {
  pollfd entries[2] = {{fd, events, 0}, {}};
  return wait_any(entries, 1, deadline_ns, interrupt);
}

ferry_status wait_any(pollfd* entries, nfds_t count, std::int64_t deadline_ns, Interrupt& interrupt) noexcept {
  for (;;) {
    if (deadline_ns == FERRY_NO_WAIT) return FERRY_WOULD_BLOCK;
    const int waker = interrupt.descriptor();
    if (waker == Interrupt::raised) return FERRY_INTERRUPTED;
    if (waker >= 0) return wait_beside(entries, count, waker, deadline_ns);
    const std::int64_t slice_end_ns = std::min(deadline_ns, monotonic_ns() + slice_ns);
    const ferry_status status = wait_beside(entries, count, -1, slice_end_ns);
    if (status != FERRY_TIMED_OUT || slice_end_ns == deadline_ns) return status;
  }
}

ferry_status wait_ready(int fd, short events, std::int64_t deadline_ns, const ferry_cancel* cancel) noexcept {
  if (deadline_ns == FERRY_NO_WAIT) return FERRY_WOULD_BLOCK;
  pollfd entries[2] = {{fd, events, 0}, {}};
  return wait_beside(entries, 1, cancel_descriptor(cancel), deadline_ns);
}

}  // namespace ferry::plugin

// Sleeping on descriptors until one of the ABI's absolute deadlines.
#pragma once

#include <poll.h>

#include <cstdint>

#include "ferry/abi.h"
#include "ferry/sdk/clock.hpp"
#include "ferry/sdk/interrupt.hpp"

namespace ferry::plugin {

/// poll(2) with an absolute deadline at nanosecond resolution; continues after a signal. Looks once even when the
/// deadline is past. Returns how many entries have revents (at least 1), or FERRY_WOULD_BLOCK (only for
/// FERRY_NO_WAIT), TIMED_OUT, NO_RESOURCES, IO.
int poll_until(pollfd* entries, nfds_t count, std::int64_t deadline_ns) noexcept;

/// Sleeps until `fd` shows one of `events`, an error or a hang-up: FERRY_OK, which wins over everything else. Returns
/// FERRY_INTERRUPTED when `interrupt` is or gets raised, or FERRY_WOULD_BLOCK, TIMED_OUT, NO_RESOURCES, IO. To be
/// called when the operation itself has just said EAGAIN: a deadline already past does not look again.
ferry_status wait_ready(int fd, short events, std::int64_t deadline_ns, Interrupt& interrupt) noexcept;

/// The same for several descriptors: FERRY_OK when entries[0…count) show anything. entries[count] is for the interrupt.
ferry_status wait_any(pollfd* entries, nfds_t count, std::int64_t deadline_ns, Interrupt& interrupt) noexcept;

/// The same for a connect: interrupted by `cancel`, which may be null or hold handle -1.
ferry_status wait_ready(int fd, short events, std::int64_t deadline_ns, const ferry_cancel* cancel) noexcept;

/// The descriptor to poll for POLLIN beside one's own, -1 (which poll ignores) when the connect cannot be cancelled.
inline int cancel_descriptor(const ferry_cancel* cancel) noexcept {
  return cancel == nullptr ? -1 : static_cast<int>(cancel->handle);
}

}  // namespace ferry::plugin

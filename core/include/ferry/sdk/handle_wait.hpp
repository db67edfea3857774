// Sleeping on Windows handles until one of the ABI's absolute deadlines.
#pragma once

#include <cstdint>
#include <span>

#include "ferry/abi.h"
#include "ferry/sdk/clock.hpp"
#include "ferry/sdk/interrupt.hpp"
#include "ferry/sdk/unique_handle.hpp"

namespace ferry::plugin {

/// The handle that an Interrupt's descriptor() stands for.
inline HANDLE event_handle(int descriptor) noexcept {
  return reinterpret_cast<HANDLE>(static_cast<std::intptr_t>(descriptor));
}

/// A manual-reset event, not set. Throws Failure(NO_RESOURCES).
UniqueHandle make_event();

/// Sleeps until one of `handles` (1 to MAXIMUM_WAIT_OBJECTS) is signalled and returns the index of the first that is,
/// or FERRY_WOULD_BLOCK (only for FERRY_NO_WAIT), TIMED_OUT, IO. Looks once even when the deadline is past.
int wait_until(std::span<const HANDLE> handles, std::int64_t deadline_ns) noexcept;

/// Sleeps until `handle` is signalled: FERRY_OK, which wins over everything else. Returns FERRY_INTERRUPTED when
/// `interrupt` is or gets raised, or FERRY_WOULD_BLOCK, TIMED_OUT, IO.
ferry_status wait_signalled(HANDLE handle, std::int64_t deadline_ns, Interrupt& interrupt) noexcept;

/// The same for the first of one or two handles.
ferry_status wait_signalled(std::span<const HANDLE> handles, std::int64_t deadline_ns, Interrupt& interrupt) noexcept;

/// As for one handle, in a connect: interrupted by `cancel`, which may be null or hold handle -1.
ferry_status wait_signalled(HANDLE handle, std::int64_t deadline_ns, const ferry_cancel* cancel) noexcept;

}  // namespace ferry::plugin

// The clock of the ABI's absolute deadlines.
#pragma once

#include <cstdint>

#include "ferry/abi.h"

namespace ferry::plugin {

/// CLOCK_MONOTONIC (on Windows QueryPerformanceCounter) in nanoseconds: the clock of every deadline. Any thread.
std::int64_t monotonic_ns() noexcept;

/// True when the deadline is past (FERRY_NO_WAIT is, FERRY_FOREVER never).
bool deadline_passed(std::int64_t deadline_ns) noexcept;

/// FERRY_WOULD_BLOCK for FERRY_NO_WAIT, else FERRY_TIMED_OUT: what a call returns that may not wait longer.
constexpr ferry_status out_of_time(std::int64_t deadline_ns) noexcept {
  return deadline_ns == FERRY_NO_WAIT ? FERRY_WOULD_BLOCK : FERRY_TIMED_OUT;
}

}  // namespace ferry::plugin

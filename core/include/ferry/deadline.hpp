// Absolute deadlines on the monotonic clock, in the ABI's representation.
#pragma once

#include <chrono>
#include <cstdint>

#include "ferry/abi.h"

namespace ferry {

/// Nanoseconds of the ABI's monotonic clock. Does not block. Any thread.
std::int64_t monotonic_now_ns() noexcept;

/// A point in time after which an operation gives up. Implicitly made from a duration ("from now").
class Deadline {
 public:
  template <class Rep, class Period>
  Deadline(std::chrono::duration<Rep, Period> from_now) noexcept  // NOLINT(google-explicit-constructor)
      : ns_(after(std::chrono::duration_cast<std::chrono::nanoseconds>(from_now).count())) {}

  static constexpr Deadline never() noexcept { return Deadline(FERRY_FOREVER); }
  static constexpr Deadline no_wait() noexcept { return Deadline(FERRY_NO_WAIT); }
  static constexpr Deadline at_ns(std::int64_t ns) noexcept { return Deadline(ns); }

  constexpr std::int64_t ns() const noexcept { return ns_; }
  /// Milliseconds from now for poll(2) and its kin: rounded up, so that a wait never ends early; 0 when passed, -1 for
  /// never. Any thread.
  std::int32_t timeout_ms() const noexcept;
  bool passed() const noexcept { return ns_ != FERRY_FOREVER && (ns_ == FERRY_NO_WAIT || monotonic_now_ns() >= ns_); }

 private:
  constexpr explicit Deadline(std::int64_t ns) noexcept : ns_(ns) {}
  static std::int64_t after(std::int64_t from_now_ns) noexcept;  // saturates; 0 or less gives no_wait
  std::int64_t ns_;
};

}  // namespace ferry

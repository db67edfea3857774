// Keeps what a peer can provoke at will from flooding the log.
#pragma once

#include <cstdint>
#include <utility>

#include "ferry/deadline.hpp"

namespace ferry::host {

/// Lets one event a second through. Not thread safe.
class RateLimit {
 public:
  /// True when this one may be shown; `suppressed` then says how many before it were not.
  bool allow(std::uint64_t& suppressed) noexcept {
    const std::int64_t now_ns = monotonic_now_ns();
    if (now_ns < next_ns_) {
      ++suppressed_;
      return false;
    }
    next_ns_ = now_ns + interval_ns;
    suppressed = std::exchange(suppressed_, 0);
    return true;
  }

 private:
  static constexpr std::int64_t interval_ns = 1'000'000'000;
  std::int64_t next_ns_ = 0;
  std::uint64_t suppressed_ = 0;
};

}  // namespace ferry::host

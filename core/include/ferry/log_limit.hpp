// A token bucket that keeps what a peer can provoke at will from filling the disk with log lines.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ferry {

/// Not thread safe.
class LogLimit {
 public:
  /// Lets `burst` lines through at once and one more every `interval_ns` after that.
  LogLimit(std::int64_t burst, std::int64_t interval_ns) noexcept : burst_(burst), interval_ns_(interval_ns) {}

  /// @param now_ns  of monotonic_now_ns()
  /// True when a line may be written now; `suppressed` is then how many were held back since the last one written.
  bool allow(std::int64_t now_ns, std::uint64_t& suppressed) noexcept {
    // full_at_ns_ is when the bucket is full again; each line moves it on by one interval.
    const std::int64_t next = std::max(full_at_ns_, now_ns) + interval_ns_;
    if (next - now_ns > burst_ * interval_ns_) {
      ++suppressed_;
      return false;
    }
    full_at_ns_ = next;
    suppressed = suppressed_;
    suppressed_ = 0;
    return true;
  }

 private:
  std::int64_t burst_;
  std::int64_t interval_ns_;
  std::int64_t full_at_ns_ = 0;
  std::uint64_t suppressed_ = 0;
};

}  // namespace ferry

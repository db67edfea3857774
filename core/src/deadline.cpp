#include "ferry/deadline.hpp"

#include <algorithm>
#include <limits>

namespace ferry {

std::int32_t Deadline::timeout_ms() const noexcept {
  constexpr std::int64_t ms_ns = 1'000'000;
  constexpr std::int64_t longest_ms = std::numeric_limits<std::int32_t>::max();
  if (ns_ == FERRY_FOREVER) return -1;
  const std::int64_t left_ns = ns_ <= FERRY_NO_WAIT ? 0 : std::max<std::int64_t>(ns_ - monotonic_now_ns(), 0);
  return static_cast<std::int32_t>(std::min(left_ns / ms_ns + (left_ns % ms_ns != 0 ? 1 : 0), longest_ms));
}

std::int64_t Deadline::after(std::int64_t from_now_ns) noexcept {
  if (from_now_ns <= 0) return FERRY_NO_WAIT;
  const std::int64_t now_ns = monotonic_now_ns();
  return from_now_ns >= FERRY_FOREVER - now_ns ? FERRY_FOREVER : now_ns + from_now_ns;
}

}  // namespace ferry

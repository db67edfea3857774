#include "ferry/deadline.hpp"

namespace ferry {

std::int64_t Deadline::after(std::int64_t from_now_ns) noexcept {
  if (from_now_ns <= 0) return FERRY_NO_WAIT;
  const std::int64_t now_ns = monotonic_now_ns();
  return from_now_ns >= FERRY_FOREVER - now_ns ? FERRY_FOREVER : now_ns + from_now_ns;
}

}  // namespace ferry

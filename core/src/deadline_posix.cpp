#include <time.h>

#include "ferry/deadline.hpp"

namespace ferry {

std::int64_t monotonic_now_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);  // cannot fail: the clock is known and the pointer valid
  const std::int64_t ns = std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  return ns > 0 ? ns : 1;  // 0 means FERRY_NO_WAIT
}

}  // namespace ferry

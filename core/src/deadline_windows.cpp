#include <windows.h>

#include "ferry/deadline.hpp"

namespace ferry {

std::int64_t monotonic_now_ns() noexcept {
  static const std::int64_t per_second = [] {
    LARGE_INTEGER frequency;
    ::QueryPerformanceFrequency(&frequency);  // cannot fail since Windows XP, nor can the counter
    return frequency.QuadPart;
  }();
  constexpr std::int64_t second_ns = 1'000'000'000;
  LARGE_INTEGER counter;
  ::QueryPerformanceCounter(&counter);
  // Whole seconds apart: counter times 10^9 would overflow after fifteen minutes at 10 MHz.
  const std::int64_t ns =
      counter.QuadPart / per_second * second_ns + counter.QuadPart % per_second * second_ns / per_second;
  return ns > 0 ? ns : 1;  // 0 means FERRY_NO_WAIT
}

}  // namespace ferry

#include <windows.h>

#include "ferry/sdk/clock.hpp"

namespace ferry::plugin {

std::int64_t monotonic_ns() noexcept {
  static const std::int64_t per_second = [] {
    LARGE_INTEGER frequency;
    ::QueryPerformanceFrequency(&frequency);  // cannot fail since Windows XP, nor can the counter
    return frequency.QuadPart;
  }();
  constexpr std::int64_t second_ns = 1'000'000'000;
  LARGE_INTEGER counter;
  ::QueryPerformanceCounter(&counter);
  // Whole seconds apart: counter times 10^9 would overflow after fifteen minutes at 10 MHz.
  return counter.QuadPart / per_second * second_ns + counter.QuadPart % per_second * second_ns / per_second;
}

}  // namespace ferry::plugin

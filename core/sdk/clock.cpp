#include "ferry/sdk/clock.hpp"

namespace ferry::plugin {

bool deadline_passed(std::int64_t deadline_ns) noexcept {
  return deadline_ns != FERRY_FOREVER && (deadline_ns == FERRY_NO_WAIT || monotonic_ns() >= deadline_ns);
}

}  // namespace ferry::plugin

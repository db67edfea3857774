// What a failed read or write of a connection returns from then on.
#pragma once

#include "ferry/sdk/os_error.hpp"

namespace ferry::plugin {

inline ferry_status lasting_failure(int error) noexcept {
  const ferry_status status = status_of_errno(error);
  if (status == FERRY_RESET || status == FERRY_UNREACHABLE || status == FERRY_TIMED_OUT) return FERRY_RESET;
  return status == FERRY_NO_RESOURCES ? status : ferry_status{FERRY_IO};
}

}  // namespace ferry::plugin

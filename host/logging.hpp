// The log of `ferry`, through the core's.
#pragma once

#include <spdlog/fmt/fmt.h>

#include <string_view>
#include <utility>

#include "ferry/deadline.hpp"
#include "ferry/log.hpp"
#include "ferry/log_limit.hpp"

namespace ferry::host {

/// Logs one formatted line as "ferry.host"; see ferry::log.
template <class... Arguments>
void log_line(ferry_log_level level, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  log(level, "ferry.host", fmt::format(format, std::forward<Arguments>(arguments)...));
}

/// For what a peer can provoke at will.
inline LogLimit one_line_a_second() noexcept { return LogLimit(1, 1'000'000'000); }

}  // namespace ferry::host

// The core's log: one line per event on standard error, as text or as JSON.
#pragma once

#include <cstdint>
#include <string_view>

#include "ferry/abi.h"

namespace ferry {

/// Sets the least level shown ("trace", "debug", "info", "warning", "error", "off") and the format ("text", "json").
/// The default is info and text. Throws Error(invalid) naming the choices. Any thread.
void configure_logging(std::string_view level, std::string_view format);

/// Writes one line to the logger `name` ("ferry.host"). Line ends and other control characters in `text` are escaped,
/// so that what a peer sent cannot forge a line. Takes a lock; never throws. Any thread.
void log(ferry_log_level level, std::string_view name, std::string_view text) noexcept;

/// How often plugins reported FERRY_LOG_PEER_MISBEHAVING since the process began, shown or not. Any thread.
std::uint64_t peer_misbehaviour_count() noexcept;

}  // namespace ferry

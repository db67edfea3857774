// The log of `ferry`: standard error, as text or one JSON object per line, coloured only on a terminal.
#pragma once

#include <string>

namespace ferry::host {

/// Replaces the default logger and the format of every logger made before or after.
/// @param level   trace, debug, info, warning, error or off
/// @param format  text or json
void set_up_logging(const std::string& level, const std::string& format);

/// Reports why the program ends: `ferry: message` on standard error, or an error line when the log is JSON.
void report_failure(const std::string& message);

}  // namespace ferry::host

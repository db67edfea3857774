// Command-line options in the units of the config.
#pragma once

#include <cstdint>
#include <string>

#include "command_line.hpp"

namespace ferry::host {

/// A duration such as "20ms"; refused while the command line is parsed.
/// @param ns  receives nanoseconds; its value now is the documented default
Argument add_duration(Command verb, const std::string& name, std::int64_t& ns, const std::string& help);

}  // namespace ferry::host

// Command-line options in the units of the config.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

namespace ferry::host {

/// A duration such as "20ms"; refused while the command line is parsed.
/// @param ns  receives nanoseconds; its value now is the documented default
CLI::Option* add_duration(CLI::App& verb, const std::string& name, std::int64_t& ns, const std::string& help);

}  // namespace ferry::host

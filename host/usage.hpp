// Turns what CLI11 could not parse into one message that says what was meant.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace ferry::host {

/// The message of a command line that was not accepted, with "did you mean" for verbs and options.
std::string explain_usage_error(const CLI::App& app, const CLI::ParseError& error);

}  // namespace ferry::host

// What the exit code of `ferry` says, the same for every verb; see docs/reference/cli.md.
#pragma once

#include <array>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>

namespace ferry::host {

enum class ExitCode : int {
  ok = 0,
  operation = 1,
  usage = 2,
  config = 3,
  plugin = 4,
  connect = 5,
  timeout = 6,
  data_incomplete = 7,
};

struct ExitCodeRow {
  ExitCode code;
  std::string_view meaning;
};

/// The documented meaning of each code; the footer of `ferry --help`.
inline constexpr std::array<ExitCodeRow, 8> exit_codes{{
    {ExitCode::ok, "success"},
    {ExitCode::operation, "the operation failed"},
    {ExitCode::usage, "the command line is wrong"},
    {ExitCode::config, "the config file is wrong; nothing was started"},
    {ExitCode::plugin, "a plugin is missing, unsafe or broken"},
    {ExitCode::connect, "could not connect or listen"},
    {ExitCode::timeout, "a deadline passed"},
    {ExitCode::data_incomplete, "data was cut off or is unaccounted for"},
}};

/// A failure whose exit code the verb chose itself.
class Failure : public std::runtime_error {
 public:
  Failure(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const noexcept { return code_; }

 private:
  ExitCode code_;
};

/// The code that belongs to an exception which reached main.
ExitCode exit_code_of(const std::exception& error) noexcept;

}  // namespace ferry::host

#include "exit_code.hpp"

#include "ferry/config.hpp"
#include "ferry/endpoint.hpp"
#include "ferry/error.hpp"

namespace ferry::host {

ExitCode exit_code_of(const std::exception& error) noexcept {
  if (const auto* failure = dynamic_cast<const Failure*>(&error)) return failure->code();
  if (dynamic_cast<const ConfigError*>(&error) != nullptr) return ExitCode::config;
  if (dynamic_cast<const DescriptorError*>(&error) != nullptr) return ExitCode::usage;
  const auto* ferry_error = dynamic_cast<const Error*>(&error);
  if (ferry_error == nullptr) return ExitCode::operation;
  if (ferry_error->status() == Status::timed_out) return ExitCode::timeout;
  if (ferry_error->status() == Status::authentication) return ExitCode::connect;
  if (ferry_error->status() == Status::internal) return ExitCode::plugin;  // it breaks the contract, or says so itself
  const std::string& operation = ferry_error->operation();
  if (operation == "connect" || operation == "listen") {
    // Without an error of the system it is the plugin that does not take the address.
    const bool is_address = ferry_error->status() == Status::invalid && ferry_error->os_error() == 0;
    return is_address ? ExitCode::usage : ExitCode::connect;
  }
  if (operation == "read configuration") return ExitCode::config;
  if (operation == "check address" || operation == "resolve" || operation == "find link") return ExitCode::usage;
  if (operation == "load plugin" || operation == "find a plugin for") return ExitCode::plugin;
  return ExitCode::operation;
}

}  // namespace ferry::host

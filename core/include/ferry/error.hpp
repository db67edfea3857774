// Statuses and errors: hot paths return a Status, cold paths throw Error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

#include "ferry/abi.h"

namespace ferry {

/// The ABI's closed list of outcomes; see abi.h for what each means.
enum class Status : std::int32_t {
  ok = FERRY_OK,
  would_block = FERRY_WOULD_BLOCK,
  timed_out = FERRY_TIMED_OUT,
  end = FERRY_END,
  interrupted = FERRY_INTERRUPTED,
  reset = FERRY_RESET,
  refused = FERRY_REFUSED,
  unreachable = FERRY_UNREACHABLE,
  address_in_use = FERRY_ADDRESS_IN_USE,
  not_found = FERRY_NOT_FOUND,
  permission = FERRY_PERMISSION,
  invalid = FERRY_INVALID,
  unsupported = FERRY_UNSUPPORTED,
  no_resources = FERRY_NO_RESOURCES,
  too_large = FERRY_TOO_LARGE,
  protocol = FERRY_PROTOCOL,
  closed = FERRY_CLOSED,
  authentication = FERRY_AUTHENTICATION,
  io = FERRY_IO,
  internal = FERRY_INTERNAL,
};

/// The category of every Status as a std::error_code; its conditions compare equal to the matching std::errc.
const std::error_category& status_category() noexcept;
std::error_code make_error_code(Status status) noexcept;

/// One short English phrase per status, for example "connection refused". Static text.
std::string_view describe(Status status) noexcept;
/// The status's name as in the documentation, for example "timed_out". Static text.
std::string_view name_of(Status status) noexcept;

/// A failed cold operation: what was attempted, on what, and why.
/// what() reads `connect uds:///run/x.sock: Permission denied (socket is 0600, owned by uid 1000)`.
class Error : public std::system_error {
 public:
  /// @param operation  verb in the imperative, for example "connect"
  /// @param target     descriptor, path or name; may be empty
  /// @param os_error   errno (GetLastError() on Windows), or 0
  Error(Status status, std::string operation, std::string target, const std::string& detail, int os_error = 0);

  const char* what() const noexcept override { return what_.c_str(); }
  Status status() const noexcept { return static_cast<Status>(code().value()); }
  int os_error() const noexcept { return os_error_; }
  const std::string& operation() const noexcept { return operation_; }
  const std::string& target() const noexcept { return target_; }
  /// The message without operation and target: the system's text, then what else is known, in parentheses.
  const std::string& detail() const noexcept { return detail_; }

 private:
  std::string operation_;
  std::string target_;
  std::string detail_;
  std::string what_;
  int os_error_;
};

/// Throws Error made from what a plugin reported. A status outside the ABI's list becomes Status::internal.
[[noreturn]] void throw_error(const ferry_error& error, std::string operation, std::string target);

}  // namespace ferry

template <>
struct std::is_error_code_enum<ferry::Status> : std::true_type {};

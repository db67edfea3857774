// errno, on Windows GetLastError and WSAGetLastError, in the ABI's words.
#pragma once

#include <string>
#include <string_view>

#include "ferry/plugin.hpp"

namespace ferry::plugin {

/// The status that says best what `error` (an errno value, not EINTR; on Windows a system error code) means for
/// connect, bind, accept and their kin.
ferry_status status_of_errno(int error) noexcept;

/// The system's text for `error`, without a full stop. Thread safe.
std::string os_text(int error);

/// A Failure for a system call: "<os text>" or "<context>: <os text>", the status from status_of_errno.
/// `context` may name the step, never the operation and target, which the core prepends.
Failure os_failure(int error, std::string_view context = {});

}  // namespace ferry::plugin

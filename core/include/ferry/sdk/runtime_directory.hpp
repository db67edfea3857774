// The directory of this user's local sockets, where both sides of a name meet.
#pragma once

#include <string>

#include "ferry/plugin.hpp"  // Failure

namespace ferry::plugin {

/// $XDG_RUNTIME_DIR/ferry, or /tmp/ferry-<uid> where that variable is not set (or the process is privileged); made with
/// mode 0700 when absent. Throws Failure when it cannot be made, or FERRY_PERMISSION when it is not a directory of this
/// user alone: whoever made one of that name in /tmp first could otherwise read and answer our connections. Any thread.
std::string runtime_directory();

}  // namespace ferry::plugin

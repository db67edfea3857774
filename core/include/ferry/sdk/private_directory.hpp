// Directories that only one user may enter.
#pragma once

#include <cstdint>
#include <string>

#include "ferry/plugin.hpp"
#include "ferry/sdk/unique_fd.hpp"

namespace ferry::plugin {

enum class Absent : std::uint8_t { fail, make };

/// Opens `path`, relative to the directory open as `at` (or AT_FDCWD), making it with mode 0700 when it is absent and
/// `absent` says so. Throws Failure: NOT_FOUND, PERMISSION unless it is a directory, no symbolic link, of the effective
/// user and closed to everybody else, or what the system says. Does not block beyond the file system.
UniqueFd open_private_directory(int at, const std::string& path, Absent absent);

}  // namespace ferry::plugin

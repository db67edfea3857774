// Where plugins are looked for.
#pragma once

#include <filesystem>
#include <vector>

#include "ferry/registry.hpp"

namespace ferry {

/// The policy's plugin_dirs, then FERRY_PLUGIN_PATH (colon-separated; ignored when the process has privileges that its
/// user has not), then the install's own folder as seen from the program, then `../lib/ferry`, which is a build
/// tree's, then the prefix that Ferry was configured for. Absolute, without repetitions; they need not exist.
std::vector<std::filesystem::path> plugin_search_path(const RegistryPolicy& policy);

}  // namespace ferry

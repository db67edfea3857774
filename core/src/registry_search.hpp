// Where plugins are looked for.
#pragma once

#include <filesystem>
#include <vector>

#include "ferry/registry.hpp"

namespace ferry {

/// The policy's plugin_dirs, then FERRY_PLUGIN_PATH (colon-separated; ignored when the process has privileges that its
/// user has not), then `../lib/ferry` beside the program, which is both an install's and a build tree's, then the
/// prefix that Ferry was configured for. Absolute, without repetitions; they need not exist.
std::vector<std::filesystem::path> plugin_search_path(const RegistryPolicy& policy);

/// The files of a directory that are meant as plugins (`*.so`, whatever they are), in the order of their names.
std::vector<std::filesystem::path> plugin_candidates(const std::filesystem::path& directory);

}  // namespace ferry

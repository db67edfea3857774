// Where plugins are looked for.
#pragma once

#include <filesystem>
#include <vector>

#include "ferry/registry.hpp"

namespace ferry {

/// The policy's plugin_dirs, then FERRY_PLUGIN_PATH (colon-separated, on Windows by semicolons; ignored when the
/// process has privileges that its user has not), then the install's own folder as seen from the program, then
/// `../lib/ferry`, which is a build tree's, then `ferry` beside the shared library that this is in, if it is, then the
/// prefix that Ferry was configured for. Absolute, without repetitions; they need not exist.
std::vector<std::filesystem::path> plugin_search_path(const RegistryPolicy& policy);

/// The folders that FERRY_PLUGIN_PATH names, as far as the environment may be believed.
std::vector<std::filesystem::path> environment_plugin_dirs();
/// The running program's own file; empty when the system does not tell.
std::filesystem::path program_file();
/// The shared library (libferry) that this code is in; empty when it is in the program itself.
std::filesystem::path library_file();

}  // namespace ferry

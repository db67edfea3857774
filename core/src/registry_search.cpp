#include "registry_search.hpp"

#include <algorithm>
#include <utility>

namespace ferry {
namespace {
namespace fs = std::filesystem;
}

std::vector<fs::path> plugin_search_path(const RegistryPolicy& policy) {
  std::vector<fs::path> wanted = policy.plugin_dirs;
  if (policy.use_environment) {
    for (fs::path& dir : environment_plugin_dirs()) wanted.push_back(std::move(dir));
  }
  if (policy.use_default_dirs) {
    const fs::path program = program_file();
    if (!program.empty()) {
      wanted.push_back(program.parent_path() / FERRY_PLUGINS_FROM_BIN);
      wanted.push_back(program.parent_path().parent_path() / "lib" / "ferry");
    }
    const fs::path library = library_file();
    if (!library.empty()) wanted.push_back(library.parent_path() / "ferry");
    wanted.emplace_back(FERRY_INSTALL_PLUGIN_DIR);
  }
  std::vector<fs::path> path;
  for (const fs::path& dir : wanted) {
    fs::path absolute = fs::absolute(dir).lexically_normal();
    if (!absolute.has_filename()) absolute = absolute.parent_path();
    if (std::find(path.begin(), path.end(), absolute) == path.end()) path.push_back(std::move(absolute));
  }
  return path;
}

std::vector<fs::path> plugin_candidates(const fs::path& directory) {
  std::vector<fs::path> files;
  std::error_code failure;
  for (fs::directory_iterator entry(directory, failure), end; !failure && entry != end; entry.increment(failure)) {
    if (entry->path().extension() == plugin_suffix) files.push_back(entry->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<fs::path> plugin_candidates(const std::vector<fs::path>& directories) {
  std::vector<fs::path> all;
  for (const fs::path& directory : directories) {
    for (fs::path& file : plugin_candidates(directory)) all.push_back(std::move(file));
  }
  return all;
}

}  // namespace ferry

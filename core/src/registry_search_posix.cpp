#include <dlfcn.h>
#include <sys/auxv.h>

#include <algorithm>
#include <cstdlib>

#include "registry_search.hpp"

namespace ferry {

namespace fs = std::filesystem;

const std::string_view plugin_suffix = ".so";

fs::path program_file() {
  std::error_code failure;
  return fs::read_symlink("/proc/self/exe", failure);
}

fs::path library_file() {
  static const char here = 0;
  Dl_info found{};
  std::error_code failure;
  if (::dladdr(&here, &found) == 0 || found.dli_fname == nullptr) return {};
  const fs::path file = fs::canonical(found.dli_fname, failure);
  return failure || file == program_file() ? fs::path() : file;
}

std::vector<fs::path> environment_plugin_dirs() {
  std::vector<fs::path> dirs;
  const char* const list = ::getauxval(AT_SECURE) == 0 ? std::getenv("FERRY_PLUGIN_PATH") : nullptr;
  if (list == nullptr) return dirs;
  std::string_view rest = list;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    if (end > 0) dirs.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return dirs;
}

}  // namespace ferry

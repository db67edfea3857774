#include <windows.h>

#include <algorithm>

#include "environment_windows.hpp"
#include "registry_search.hpp"

namespace ferry {

namespace fs = std::filesystem;

const std::string_view plugin_suffix = ".dll";

fs::path program_file() {
  std::wstring file(MAX_PATH, L'\0');
  for (;;) {
    const DWORD size = ::GetModuleFileNameW(nullptr, file.data(), static_cast<DWORD>(file.size()));
    if (size < file.size()) return file.substr(0, size);
    file.resize(2 * file.size());  // it was cut
  }
}

fs::path library_file() { return {}; }  // there is no libferry for Windows

std::vector<fs::path> environment_plugin_dirs() {
  std::vector<fs::path> dirs;
  const std::wstring list = environment_variable(L"FERRY_PLUGIN_PATH");
  std::wstring_view rest = list;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(L';'), rest.size());
    if (end > 0) dirs.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return dirs;
}

}  // namespace ferry

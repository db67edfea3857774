#include <windows.h>

#include <array>
#include <filesystem>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/runtime_directory.hpp"

namespace ferry::plugin {

// The profile's own folder for local data: its access control list lets in the user, administrators and the system
// alone, and what is made in it inherits that.
std::string runtime_directory() {
  std::array<wchar_t, 1u << 15> base;  // the longest value there is
  if (::GetEnvironmentVariableW(L"LOCALAPPDATA", base.data(), static_cast<DWORD>(base.size())) == 0) {
    throw Failure(FERRY_NOT_FOUND, "there is no run-time directory: LOCALAPPDATA is not set");
  }
  const std::filesystem::path directory = std::filesystem::path(base.data()) / "ferry";
  if (::CreateDirectoryW(directory.c_str(), nullptr) == FALSE && ::GetLastError() != ERROR_ALREADY_EXISTS) {
    throw os_failure(static_cast<int>(::GetLastError()), "cannot make " + directory.string());
  }
  return directory.string();
}

}  // namespace ferry::plugin

#include "environment_windows.hpp"

#include <windows.h>

namespace ferry {

std::wstring environment_variable(const wchar_t* name) {
  std::wstring value;
  for (DWORD room = ::GetEnvironmentVariableW(name, nullptr, 0); room > 0;) {
    value.resize(room);
    const DWORD size = ::GetEnvironmentVariableW(name, value.data(), room);
    if (size < room) return value.substr(0, size);
    room = size;  // it was changed meanwhile
  }
  return {};
}

}  // namespace ferry

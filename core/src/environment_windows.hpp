// Text of the Windows API, which is UTF-16 of a length only the call itself knows.
#pragma once

#include <string>

namespace ferry {

/// Empty when it is not set.
std::wstring environment_variable(const wchar_t* name);

}  // namespace ferry

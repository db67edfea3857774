#include <windows.h>

#include "standard_error.hpp"

namespace ferry {

// Windows cannot write to a synchronous pipe without waiting, so a reader that never reads stops whoever logs. Files
// and consoles, which are the rule, never do.
std::size_t write_standard_error(std::string_view text) noexcept {
  DWORD written = 0;
  const BOOL done =
      ::WriteFile(::GetStdHandle(STD_ERROR_HANDLE), text.data(), static_cast<DWORD>(text.size()), &written, nullptr);
  return done != FALSE ? written : 0;
}

bool standard_error_is_terminal() noexcept {
  DWORD mode = 0;
  return ::GetConsoleMode(::GetStdHandle(STD_ERROR_HANDLE), &mode) != FALSE;
}

}  // namespace ferry

#include <windows.h>
// after windows.h
#include <io.h>

#include "probe_process.hpp"

namespace ferry {
namespace {
HANDLE report = INVALID_HANDLE_VALUE;
}

// The parent holds us in a job that ends with it.
bool prepare_probe_process() noexcept {
  HANDLE const output = ::GetStdHandle(STD_OUTPUT_HANDLE);
  if (::GetFileType(output) != FILE_TYPE_PIPE) return false;
  HANDLE const self = ::GetCurrentProcess();
  // A handle of our own: the C run-time library closes the one it knows when its descriptor is given to another file.
  if (::DuplicateHandle(self, output, self, &report, 0, FALSE, DUPLICATE_SAME_ACCESS) == FALSE) return false;
  ::SetStdHandle(STD_OUTPUT_HANDLE, ::GetStdHandle(STD_ERROR_HANDLE));
  ::_dup2(2, 1);
  ::SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
  return true;
}

bool write_probe_report(std::string_view text) noexcept {
  DWORD count = 0;
  return ::WriteFile(report, text.data(), static_cast<DWORD>(text.size()), &count, nullptr) != FALSE &&
         count == text.size();
}

}  // namespace ferry

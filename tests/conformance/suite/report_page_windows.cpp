#include <windows.h>

#include <system_error>

#include "report_page.hpp"

namespace ferry::conformance {

ReportPage* map_report(const std::filesystem::path& file) {
  HANDLE const opened =
      ::CreateFileW(file.c_str(), GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
                    nullptr, OPEN_ALWAYS, 0, nullptr);
  // A mapping of a file that is too short makes it long enough, with zeros.
  HANDLE const mapping = ::CreateFileMappingW(opened, nullptr, PAGE_READWRITE, 0, sizeof(ReportPage), nullptr);
  void* const view = mapping == nullptr ? nullptr : ::MapViewOfFile(mapping, FILE_MAP_ALL_ACCESS, 0, 0, 0);
  const auto error = static_cast<int>(::GetLastError());
  if (mapping != nullptr) ::CloseHandle(mapping);  // the view keeps both
  if (opened != INVALID_HANDLE_VALUE) ::CloseHandle(opened);
  if (view == nullptr) throw std::system_error(error, std::system_category(), file.string());
  return static_cast<ReportPage*>(view);
}

void unmap_report(ReportPage* page) noexcept { ::UnmapViewOfFile(page); }

}  // namespace ferry::conformance

#include <windows.h>
// after windows.h
#include <winternl.h>

#include "doctor_checks.hpp"

namespace ferry::host {
namespace {

constexpr ULONG wanted_build = 16299;  // 1709, the first with TCP_KEEPIDLE

using GetVersion = NTSTATUS(NTAPI*)(RTL_OSVERSIONINFOW*);
using GetWineVersion = const char*(CDECL*)();

template <class Function>
Function of_ntdll(const char* name) {
  const auto found = ::GetProcAddress(::GetModuleHandleW(L"ntdll.dll"), name);
  return reinterpret_cast<Function>(reinterpret_cast<void*>(found));
}

}  // namespace

std::vector<Finding> examine_system() {
  RTL_OSVERSIONINFOW version{};
  version.dwOSVersionInfoSize = sizeof(version);
  // GetVersionEx tells programs without a manifest what they were made for instead of what runs.
  if (const auto get_version = of_ntdll<GetVersion>("RtlGetVersion")) get_version(&version);
  Finding system{"system",
                 "Windows " + std::to_string(version.dwMajorVersion) + "." + std::to_string(version.dwMinorVersion) +
                     " build " + std::to_string(version.dwBuildNumber),
                 ""};
  if (const auto wine = of_ntdll<GetWineVersion>("wine_get_version")) {
    system.found += std::string(", imitated by Wine ") + wine();
    system.advice = "for tests only: Wine enforces no access control lists on pipes";
  } else if (version.dwBuildNumber < wanted_build) {
    system.advice = "keepalive times of tcp have no effect before Windows 10 version 1709: update";
  }
  return {system};
}

}  // namespace ferry::host

#include <windows.h>
// after windows.h
#include <psapi.h>
#include <tlhelp32.h>
#include <winternl.h>

#include <array>

#include "check.hpp"
#include "support/open_handles_windows.hpp"
#include "usage.hpp"

namespace ferry::conformance {
namespace {
HANDLE handle_of(std::int64_t handle) noexcept { return reinterpret_cast<HANDLE>(handle); }
}  // namespace

CountAllocations count_allocations = nullptr;

std::set<int> open_descriptors() { return test::open_handles(); }

// The thread pool's, Winsock's and the resolver's.
int taken_by_system_libraries() noexcept { return 10; }

std::string describe_descriptor(int fd) {
  alignas(PUBLIC_OBJECT_TYPE_INFORMATION) std::array<std::byte, 1024> buffer;
  ULONG size = 0;
  if (::NtQueryObject(handle_of(fd), ObjectTypeInformation, buffer.data(), buffer.size(), &size) < 0) return "unknown";
  const auto& type = *reinterpret_cast<const PUBLIC_OBJECT_TYPE_INFORMATION*>(buffer.data());
  const std::wstring_view name(type.TypeName.Buffer, type.TypeName.Length / sizeof(wchar_t));
  return std::filesystem::path(name).string();
}

bool is_close_on_exec(int fd) {
  DWORD flags = 0;
  return ::GetHandleInformation(handle_of(fd), &flags) != FALSE && (flags & HANDLE_FLAG_INHERIT) == 0;
}

int thread_count() {
  HANDLE const snapshot = ::CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
  THREADENTRY32 entry{};
  entry.dwSize = sizeof(entry);
  int count = 0;
  for (BOOL more = ::Thread32First(snapshot, &entry); more != FALSE; more = ::Thread32Next(snapshot, &entry)) {
    if (entry.th32OwnerProcessID == ::GetCurrentProcessId()) ++count;
  }
  ::CloseHandle(snapshot);
  return count;
}

std::uint64_t resident_bytes() {
  PROCESS_MEMORY_COUNTERS counters{};
  ::GetProcessMemoryInfo(::GetCurrentProcess(), &counters, sizeof(counters));
  return counters.WorkingSetSize;
}

std::string signal_handling() { return {}; }  // Windows has no signals

bool NoDescriptors::is_possible() noexcept { return false; }

NoDescriptors::NoDescriptors() { fail("handles cannot be used up"); }

NoDescriptors::~NoDescriptors() = default;

OpenFile::OpenFile(const std::filesystem::path& path)
    : handle_(reinterpret_cast<std::int64_t>(::CreateFileW(path.c_str(), GENERIC_READ | GENERIC_WRITE,
                                                           FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr, OPEN_ALWAYS, 0,
                                                           nullptr))) {
  require(handle_of(handle_) != INVALID_HANDLE_VALUE, "cannot open ", path.string());
}

OpenFile::~OpenFile() { ::CloseHandle(handle_of(handle_)); }

std::int64_t OpenFile::position() const {
  LARGE_INTEGER position{};
  ::SetFilePointerEx(handle_of(handle_), {}, &position, FILE_CURRENT);
  return position.QuadPart;
}

bool is_wine() noexcept { return ::GetProcAddress(::GetModuleHandleW(L"ntdll.dll"), "wine_get_version") != nullptr; }

void close_descriptor(int fd) { ::CloseHandle(handle_of(fd)); }

ferry_credentials own_credentials() { return {sizeof(ferry_credentials), 0, -1, -1, ::GetCurrentProcessId()}; }

}  // namespace ferry::conformance

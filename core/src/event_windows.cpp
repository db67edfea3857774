#include <windows.h>

#include <array>

#include "event.hpp"
#include "ferry/error.hpp"

namespace ferry {
namespace {
HANDLE handle_of(std::int64_t handle) noexcept { return reinterpret_cast<HANDLE>(handle); }
}  // namespace

Event::Event() : handle_(reinterpret_cast<std::int64_t>(::CreateEventW(nullptr, TRUE, FALSE, nullptr))) {
  if (handle_ == 0) throw Error(Status::no_resources, "make", "event", "", static_cast<int>(::GetLastError()));
}

Event::~Event() { ::CloseHandle(handle_of(handle_)); }

void Event::set() noexcept { ::SetEvent(handle_of(handle_)); }

void Event::clear() noexcept { ::ResetEvent(handle_of(handle_)); }

bool Event::wait_beside(const ferry_cancel* other, Deadline deadline) const noexcept {
  const bool both = other != nullptr && other->handle != -1;
  const std::array<HANDLE, 2> events{handle_of(handle_), both ? handle_of(other->handle) : nullptr};
  const std::int32_t timeout_ms = deadline.timeout_ms();
  ::WaitForMultipleObjects(both ? 2 : 1, events.data(), FALSE,
                           timeout_ms < 0 ? INFINITE : static_cast<DWORD>(timeout_ms));
  // Asked again: of several that are set the call names the first only.
  return both && ::WaitForSingleObject(events[1], 0) == WAIT_OBJECT_0;
}

}  // namespace ferry

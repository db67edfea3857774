#include <algorithm>
#include <array>

#include "ferry/sdk/handle_wait.hpp"
#include "ferry/sdk/os_error.hpp"

namespace ferry::plugin {
namespace {

constexpr std::int64_t ms_ns = 1'000'000;
constexpr std::int64_t slice_ns = 10 * ms_ns;          // between looks at an interrupt that could not get an event
constexpr std::int64_t longest_wait_ms = 0x7fff'ffff;  // INFINITE is a value of its own

constexpr std::size_t most_handles = 2;  // that one call of a connection sleeps on

/// Sleeps on `handles` beside `waker` unless that is null; FERRY_OK for a handle, FERRY_INTERRUPTED for the waker
/// alone.
ferry_status wait_beside(std::span<const HANDLE> handles, HANDLE waker, std::int64_t deadline_ns) noexcept {
  std::array<HANDLE, most_handles + 1> all;
  std::copy(handles.begin(), handles.end(), all.begin());
  all[handles.size()] = waker;
  const int first = wait_until(std::span(all).first(handles.size() + (waker == nullptr ? 0 : 1)), deadline_ns);
  if (first < 0) return first;
  return static_cast<std::size_t>(first) < handles.size() ? FERRY_OK : FERRY_INTERRUPTED;
}

}  // namespace

UniqueHandle make_event() {
  UniqueHandle event(::CreateEventW(nullptr, TRUE, FALSE, nullptr));
  if (!event) throw os_failure(static_cast<int>(::GetLastError()), "cannot make an event");
  return event;
}

int wait_until(std::span<const HANDLE> handles, std::int64_t deadline_ns) noexcept {
  for (;;) {
    DWORD timeout_ms = INFINITE;
    if (deadline_ns != FERRY_FOREVER) {
      // A negative deadline is past; subtracting from it could overflow.
      const std::int64_t left_ns =
          deadline_ns <= FERRY_NO_WAIT ? 0 : std::max<std::int64_t>(deadline_ns - monotonic_ns(), 0);
      timeout_ms = static_cast<DWORD>(std::min((left_ns + ms_ns - 1) / ms_ns, longest_wait_ms));
    }
    const DWORD found = ::WaitForMultipleObjects(static_cast<DWORD>(handles.size()), handles.data(), FALSE, timeout_ms);
    if (found < WAIT_OBJECT_0 + handles.size()) return static_cast<int>(found - WAIT_OBJECT_0);
    if (found != WAIT_TIMEOUT) return FERRY_IO;
    // The system counts in its own ticks and may wake up to one of them early.
    if (deadline_passed(deadline_ns)) return out_of_time(deadline_ns);
  }
}

ferry_status wait_signalled(std::span<const HANDLE> handles, std::int64_t deadline_ns, Interrupt& interrupt) noexcept {
  for (;;) {
    if (wait_until(handles, FERRY_NO_WAIT) >= 0) return FERRY_OK;
    if (deadline_ns == FERRY_NO_WAIT) return FERRY_WOULD_BLOCK;
    const int waker = interrupt.descriptor();
    if (waker == Interrupt::raised) return FERRY_INTERRUPTED;
    if (waker >= 0) return wait_beside(handles, event_handle(waker), deadline_ns);
    const std::int64_t slice_end_ns = std::min(deadline_ns, monotonic_ns() + slice_ns);
    const ferry_status status = wait_beside(handles, nullptr, slice_end_ns);
    if (status != FERRY_TIMED_OUT || slice_end_ns == deadline_ns) return status;
  }
}

ferry_status wait_signalled(HANDLE handle, std::int64_t deadline_ns, Interrupt& interrupt) noexcept {
  return wait_signalled(std::span(&handle, 1), deadline_ns, interrupt);
}

ferry_status wait_signalled(HANDLE handle, std::int64_t deadline_ns, const ferry_cancel* cancel) noexcept {
  const bool cancellable = cancel != nullptr && cancel->handle != -1;
  return wait_beside(std::span(&handle, 1), cancellable ? reinterpret_cast<HANDLE>(cancel->handle) : nullptr,
                     deadline_ns);
}

}  // namespace ferry::plugin

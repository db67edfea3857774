#include <windows.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "standard_streams.hpp"

namespace ferry::host {
namespace {

HANDLE open_nothing() noexcept {
  return ::CreateFileW(L"NUL", GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr, OPEN_EXISTING,
                       0, nullptr);
}

}  // namespace

void fill_closed_standard_streams() noexcept {
  for (const DWORD stream : {STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE}) {
    HANDLE const open = ::GetStdHandle(stream);
    if (open == nullptr || open == INVALID_HANDLE_VALUE) ::SetStdHandle(stream, open_nothing());
  }
}

void ignore_broken_pipes() noexcept {}  // Windows only reports them

/// Standard input may be a console, a file or a synchronous pipe, which have no way in common to wait with a deadline:
/// a thread reads, one block ahead. Nothing ends a read that never returns, so the thread is left to itself and ends
/// with the process.
struct StandardInput::State {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::byte> block;  // read and not yet taken
  Status ending = Status::ok;
  bool started = false;
  bool cancelled = false;

  static void run(const std::shared_ptr<State>& state) {
    std::vector<std::byte> memory(64u << 10);
    for (;;) {
      DWORD count = 0;
      const BOOL done = ::ReadFile(::GetStdHandle(STD_INPUT_HANDLE), memory.data(), static_cast<DWORD>(memory.size()),
                                   &count, nullptr);
      const bool ended = done != FALSE ? count == 0 : ::GetLastError() == ERROR_BROKEN_PIPE;
      std::unique_lock lock(state->mutex);
      if (done != FALSE && count > 0) {
        state->block.assign(memory.begin(), memory.begin() + count);
      } else {
        state->ending = ended ? Status::end : Status::io;
      }
      state->changed.notify_all();
      if (state->ending != Status::ok) return;
      state->changed.wait(lock, [&] { return state->block.empty() || state->cancelled; });
      if (state->cancelled) return;
    }
  }
};

StandardInput::StandardInput() : state_(std::make_shared<State>()) {}

StandardInput::~StandardInput() { cancel(); }

IoResult StandardInput::read(MutableBytes into, Deadline deadline) {
  std::unique_lock lock(state_->mutex);
  if (!std::exchange(state_->started, true)) std::thread(&State::run, state_).detach();
  const auto ready = [&] { return !state_->block.empty() || state_->ending != Status::ok || state_->cancelled; };
  if (deadline.ns() == FERRY_FOREVER) {
    state_->changed.wait(lock, ready);
  } else if (!state_->changed.wait_for(lock, std::chrono::milliseconds(deadline.timeout_ms()), ready)) {
    return {Status::timed_out, 0};
  }
  if (state_->cancelled) return {Status::interrupted, 0};
  if (state_->block.empty()) return {state_->ending, 0};
  const std::size_t count = std::min(into.size(), state_->block.size());
  std::memcpy(into.data(), state_->block.data(), count);
  state_->block.erase(state_->block.begin(), state_->block.begin() + static_cast<std::ptrdiff_t>(count));
  state_->changed.notify_all();
  return {Status::ok, count};
}

void StandardInput::cancel() noexcept {
  const std::lock_guard lock(state_->mutex);
  state_->cancelled = true;
  state_->changed.notify_all();
}

bool StandardInput::is_terminal() const noexcept {
  DWORD mode = 0;
  return ::GetConsoleMode(::GetStdHandle(STD_INPUT_HANDLE), &mode) != FALSE;
}

bool write_standard_output(ConstBytes bytes) noexcept {
  while (!bytes.empty()) {
    DWORD written = 0;
    const auto part = static_cast<DWORD>(std::min<std::size_t>(bytes.size(), 1u << 20));
    if (::WriteFile(::GetStdHandle(STD_OUTPUT_HANDLE), bytes.data(), part, &written, nullptr) == FALSE) return false;
    bytes = bytes.subspan(written);
  }
  return true;
}

void end_standard_output() noexcept {
  HANDLE const nothing = open_nothing();
  if (nothing == INVALID_HANDLE_VALUE) return;
  HANDLE const ended = ::GetStdHandle(STD_OUTPUT_HANDLE);
  ::SetStdHandle(STD_OUTPUT_HANDLE, nothing);
  ::CloseHandle(ended);
}

}  // namespace ferry::host

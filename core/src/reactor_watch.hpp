// Waits, on a loop, for a handle that a plugin lends: a uv_poll on POSIX systems, a wait of the thread pool on Windows.
//
// Its memory lives until libuv's close callback.
#pragma once

#include <uv.h>

#include <cstdint>
#include <memory>

#include "ferry/abi.h"

namespace ferry {

class Watch {
 public:
  /// `events` are UV_READABLE, UV_WRITABLE. Called on the loop's thread.
  using Callback = void (*)(void* owner, Watch& watch, int events);

  struct Closer {
    void operator()(Watch* watch) const noexcept { watch->close(); }
  };
  using Pointer = std::unique_ptr<Watch, Closer>;

  /// Throws Error when the system cannot wait on the handle, or (on POSIX systems) already waits on it for another
  /// owner.
  static Pointer open(uv_loop_t* loop, std::int64_t handle, Callback callback, void* owner);

  /// Waits for exactly these events from now on; 0: for none. False when the system refuses.
  [[nodiscard]] bool want(int events) noexcept;
  int events() const noexcept { return events_; }
  /// Lets the loop end though events are wanted: those asked for so far.
  void unref() noexcept;

 protected:
  Watch(Callback callback, void* owner) noexcept : callback_(callback), owner_(owner) {}
  ~Watch() = default;

  Callback callback_;
  void* owner_;
  int events_ = 0;

 private:
  void close() noexcept;
};

/// The libuv events for FERRY_POLL_IN and FERRY_POLL_OUT.
inline int uv_events_of(std::uint32_t poll_events) noexcept {
  return ((poll_events & FERRY_POLL_IN) != 0 ? UV_READABLE : 0) |
         ((poll_events & FERRY_POLL_OUT) != 0 ? UV_WRITABLE : 0);
}

}  // namespace ferry

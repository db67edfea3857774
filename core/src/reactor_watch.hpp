// One uv_poll on a handle that a plugin lends.
//
// libuv 1.44 removes a descriptor from epoll and adds it again on every uv_poll_start, also when nothing changes (two
// epoll_ctl calls), so the events asked for are remembered here. Its memory lives until libuv's close callback.
#pragma once

#include <uv.h>

#include <cstdint>
#include <memory>

namespace ferry {

class Watch {
 public:
  /// `events` are UV_READABLE, UV_WRITABLE. Called on the loop's thread.
  using Callback = void (*)(void* owner, Watch& watch, int events);

  struct Closer {
    void operator()(Watch* watch) const noexcept { watch->close(); }
  };
  using Pointer = std::unique_ptr<Watch, Closer>;

  /// Throws Error when libuv cannot wait on the handle, or already waits on it for another owner.
  static Pointer open(uv_loop_t* loop, std::int64_t handle, Callback callback, void* owner);

  /// Waits for exactly these events from now on; 0: for none. False when the system refuses.
  [[nodiscard]] bool want(int events) noexcept;
  int events() const noexcept { return events_; }

 private:
  Watch(Callback callback, void* owner) noexcept : callback_(callback), owner_(owner) {}
  ~Watch() = default;
  void close() noexcept;
  static void on_poll(uv_poll_t* poll, int status, int events) noexcept;

  uv_poll_t poll_{};
  Callback callback_;
  void* owner_;
  int events_ = 0;
};

/// The libuv events for FERRY_POLL_IN and FERRY_POLL_OUT.
int uv_events_of(std::uint32_t poll_events) noexcept;

}  // namespace ferry

// A one-shot timer of a reactor.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>

#include "ferry/reactor.hpp"

namespace ferry {

class ReactorCore;

/// The libuv half, freed by libuv's close callback; the user's handle cancels it.
class Timer {
 public:
  /// Runs `task` once on the loop's thread, not before `when`.
  static std::unique_ptr<ReactorHandle> start(ReactorCore& core, Deadline when, std::function<void()> task);
  /// What libuv is told for a deadline: never fires early.
  static std::uint64_t milliseconds_until(uv_loop_t* loop, std::int64_t deadline_ns) noexcept;
  /// Never fires any more. Idempotent.
  void cancel() noexcept;

 private:
  class Handle;
  Timer(ReactorCore& core, std::function<void()> task) : core_(&core), task_(std::move(task)) {}
  ~Timer() = default;
  void fire();

  uv_timer_t timer_{};
  ReactorCore* core_;
  std::function<void()> task_;
  Handle* handle_ = nullptr;
};

}  // namespace ferry

#include "reactor_timer.hpp"

#include <algorithm>
#include <utility>

#include "reactor_core.hpp"

namespace ferry {

class Timer::Handle final : public ReactorHandle {
 public:
  explicit Handle(Timer* timer) noexcept : timer_(timer) { timer->handle_ = this; }
  ~Handle() override { cancel(); }
  void cancel() noexcept override {
    if (timer_ != nullptr) timer_->cancel();
  }
  void forget() noexcept { timer_ = nullptr; }

 private:
  Timer* timer_;
};

std::unique_ptr<ReactorHandle> Timer::start(ReactorCore& core, Deadline when, std::function<void()> task) {
  auto* const timer = new Timer(core, std::move(task));
  (void)uv_timer_init(core.loop(), &timer->timer_);  // always succeeds
  timer->timer_.data = timer;
  std::unique_ptr<Handle> handle;
  try {
    handle.reset(new Handle(timer));
    core.adopt(*timer);
  } catch (...) {
    timer->cancel();
    throw;
  }
  if (when.ns() == FERRY_FOREVER) return handle;
  (void)uv_timer_start(
      &timer->timer_, [](uv_timer_t* raw) { static_cast<Timer*>(raw->data)->fire(); },
      milliseconds_until(core.loop(), when.ns()), 0);
  return handle;
}

// Rounded up, and one more because libuv's clock is cut to whole milliseconds. Never 0: libuv 1.44 runs a timer of 0
// that a timer starts in the same phase, so that a task which renews itself would stop the loop.
std::uint64_t Timer::milliseconds_until(uv_loop_t* loop, std::int64_t deadline_ns) noexcept {
  uv_update_time(loop);
  const std::int64_t left_ns =
      deadline_ns == FERRY_NO_WAIT ? 0 : std::max<std::int64_t>(0, deadline_ns - monotonic_now_ns());
  return static_cast<std::uint64_t>(left_ns / 1'000'000 + (left_ns % 1'000'000 != 0 ? 1 : 0) + 1);
}

void Timer::fire() {
  const auto task = std::move(task_);
  cancel();
  (void)ReactorCore::run_handler("timer", task);
}

void Timer::cancel() noexcept {
  if (core_ == nullptr) return;
  std::exchange(core_, nullptr)->forget(*this);
  if (handle_ != nullptr) std::exchange(handle_, nullptr)->forget();
  task_ = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), [](uv_handle_t* raw) { delete static_cast<Timer*>(raw->data); });
}

}  // namespace ferry

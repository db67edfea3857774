// libuv waits on sockets and its own completion port, not on handles of any kind, so the thread pool of the process
// does that: it has one waiting thread for each 63 handles (fewer where the system can tie handles to a completion
// port), not one for each connection. A pool wait ends after one event; its callback does nothing but wake the loop,
// which calls the owner and waits again if that is still wanted. A handle that stays signalled thus fires in every
// turn, as a descriptor does.
#include "ferry/error.hpp"
#include "reactor_watch.hpp"

namespace ferry {
namespace {

struct Wait final : Watch {
  using Watch::callback_;
  using Watch::events_;
  using Watch::owner_;

  Wait(std::int64_t waited, Callback callback, void* owner) noexcept
      : Watch(callback, owner), handle(reinterpret_cast<HANDLE>(waited)) {}

  HANDLE handle;
  PTP_WAIT wait = nullptr;
  uv_async_t fired{};
  bool waiting = false;
  bool closing = false;

  // The rest is for the loop's thread.

  /// A wait that is no longer wanted is left to end by itself: what it then reports is not passed on, and whoever wants
  /// the next event arms first, which tells of this one.
  void start() noexcept {
    if (waiting) return;
    waiting = true;
    ::SetThreadpoolWait(wait, handle, nullptr);
  }

  void on_fired() noexcept {
    waiting = false;
    if (events_ == 0) return;
    callback_(owner_, *this, events_);
    if (!closing && events_ != 0) start();
  }

  void end() noexcept {
    closing = true;
    ::SetThreadpoolWait(wait, nullptr, nullptr);
    ::WaitForThreadpoolWaitCallbacks(wait, TRUE);  // from here on nothing looks at the plugin's handle
    ::CloseThreadpoolWait(wait);
  }
};

void CALLBACK on_signalled(PTP_CALLBACK_INSTANCE, void* context, PTP_WAIT, TP_WAIT_RESULT) {
  (void)uv_async_send(&static_cast<Wait*>(context)->fired);
}

uv_handle_t* base(uv_async_t& handle) noexcept { return reinterpret_cast<uv_handle_t*>(&handle); }

void free_on_close(uv_handle_t* handle) { delete static_cast<Wait*>(handle->data); }

}  // namespace

Watch::Pointer Watch::open(uv_loop_t* loop, std::int64_t handle, Callback callback, void* owner) {
  auto wait = std::make_unique<Wait>(handle, callback, owner);
  wait->fired.data = wait.get();
  const int problem =
      uv_async_init(loop, &wait->fired, [](uv_async_t* async) { static_cast<Wait*>(async->data)->on_fired(); });
  if (problem != 0) throw Error(Status::no_resources, "make", "event", uv_strerror(problem), -problem);
  uv_unref(base(wait->fired));  // like a uv_poll it keeps the loop running only while something is wanted
  wait->wait = ::CreateThreadpoolWait(&on_signalled, wait.get(), nullptr);
  if (wait->wait == nullptr) {
    const auto os_error = static_cast<int>(::GetLastError());
    uv_close(base(wait->fired), &free_on_close);
    static_cast<void>(wait.release());
    throw Error(Status::no_resources, "make", "wait", "", os_error);
  }
  return Pointer(wait.release());
}

bool Watch::want(int events) noexcept {
  auto& wait = *static_cast<Wait*>(this);
  events_ = events;
  if (events == 0) {
    uv_unref(base(wait.fired));
  } else {
    uv_ref(base(wait.fired));
    wait.start();
  }
  return true;
}

void Watch::unref() noexcept { uv_unref(base(static_cast<Wait*>(this)->fired)); }

void Watch::close() noexcept {
  auto& wait = *static_cast<Wait*>(this);
  wait.end();
  uv_close(base(wait.fired), &free_on_close);
}

}  // namespace ferry

#include <string>

#include "ferry/error.hpp"
#include "reactor_watch.hpp"

namespace ferry {
namespace {

// libuv 1.44 removes a descriptor from epoll and adds it again on every uv_poll_start, also when nothing changes (two
// epoll_ctl calls), so the events asked for are remembered.
struct Poll final : Watch {
  using Watch::callback_;
  using Watch::events_;
  using Watch::owner_;

  Poll(Callback callback, void* owner) noexcept : Watch(callback, owner) {}

  uv_poll_t handle{};

  static void on_ready(uv_poll_t* handle, int status, int events) noexcept {
    auto& poll = *static_cast<Poll*>(handle->data);
    if (status < 0) {
      // EPOLLERR: libuv has stopped the handle. Only the operations themselves can tell what happened.
      poll.events_ = 0;
      events = UV_READABLE | UV_WRITABLE;
    }
    poll.callback_(poll.owner_, poll, events);
  }
};

}  // namespace

Watch::Pointer Watch::open(uv_loop_t* loop, std::int64_t handle, Callback callback, void* owner) {
  auto poll = std::make_unique<Poll>(callback, owner);
  const int problem = uv_poll_init(loop, &poll->handle, static_cast<int>(handle));
  if (problem != 0) {
    throw Error(problem == UV_EEXIST ? Status::unsupported : Status::io, "watch",
                "descriptor " + std::to_string(handle), uv_strerror(problem), -problem);
  }
  poll->handle.data = poll.get();
  return Pointer(poll.release());
}

bool Watch::want(int events) noexcept {
  if (events == events_) return true;
  events_ = events;
  uv_poll_t* const handle = &static_cast<Poll*>(this)->handle;
  return (events == 0 ? uv_poll_stop(handle) : uv_poll_start(handle, events, &Poll::on_ready)) == 0;
}

void Watch::unref() noexcept { uv_unref(reinterpret_cast<uv_handle_t*>(&static_cast<Poll*>(this)->handle)); }

void Watch::close() noexcept {
  uv_close(reinterpret_cast<uv_handle_t*>(&static_cast<Poll*>(this)->handle),
           [](uv_handle_t* handle) { delete static_cast<Poll*>(handle->data); });
}

}  // namespace ferry

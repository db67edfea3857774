#include "reactor_watch.hpp"

#include <string>

#include "ferry/abi.h"
#include "ferry/error.hpp"

namespace ferry {

Watch::Pointer Watch::open(uv_loop_t* loop, std::int64_t handle, Callback callback, void* owner) {
  auto* const watch = new Watch(callback, owner);
  const int problem = uv_poll_init(loop, &watch->poll_, static_cast<int>(handle));
  if (problem != 0) {
    delete watch;
    throw Error(problem == UV_EEXIST ? Status::unsupported : Status::io, "watch",
                "descriptor " + std::to_string(handle), uv_strerror(problem), -problem);
  }
  watch->poll_.data = watch;
  return Pointer(watch);
}

bool Watch::want(int events) noexcept {
  if (events == events_) return true;
  events_ = events;
  const int problem = events == 0 ? uv_poll_stop(&poll_) : uv_poll_start(&poll_, events, &Watch::on_poll);
  return problem == 0;
}

void Watch::close() noexcept {
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_),
           [](uv_handle_t* handle) { delete static_cast<Watch*>(handle->data); });
}

void Watch::on_poll(uv_poll_t* poll, int status, int events) noexcept {
  auto& watch = *static_cast<Watch*>(poll->data);
  if (status < 0) {
    // EPOLLERR: libuv has stopped the handle. Only the operations themselves can tell what happened.
    watch.events_ = 0;
    events = UV_READABLE | UV_WRITABLE;
  }
  watch.callback_(watch.owner_, watch, events);
}

int uv_events_of(std::uint32_t poll_events) noexcept {
  return ((poll_events & FERRY_POLL_IN) != 0 ? UV_READABLE : 0) |
         ((poll_events & FERRY_POLL_OUT) != 0 ? UV_WRITABLE : 0);
}

}  // namespace ferry

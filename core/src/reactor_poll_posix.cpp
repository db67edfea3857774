#include <poll.h>

#include "reactor_poll.hpp"

namespace ferry {

bool loop_has_events(const uv_loop_t* loop) noexcept {
  pollfd entry{uv_backend_fd(loop), POLLIN, 0};
  return ::poll(&entry, 1, 0) != 0;
}

}  // namespace ferry

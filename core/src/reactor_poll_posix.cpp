#include <poll.h>

#include "reactor_poll.hpp"

namespace ferry {

bool loop_has_events(int backend_fd) noexcept {
  pollfd entry{backend_fd, POLLIN, 0};
  return ::poll(&entry, 1, 0) != 0;
}

}  // namespace ferry

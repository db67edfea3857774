#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "standard_error.hpp"

namespace ferry {

// O_NONBLOCK would be the plain way, but it belongs to the open file, which other processes - a shell among them -
// share with us. A pipe that polls as writable has room for PIPE_BUF bytes, so that much at a time does not block.
std::size_t write_standard_error(std::string_view text) noexcept {
  std::size_t done = 0;
  while (done < text.size()) {
    pollfd room{STDERR_FILENO, POLLOUT, 0};
    const int ready = ::poll(&room, 1, 0);
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0 || (room.revents & POLLOUT) == 0) break;
    const ssize_t written =
        ::write(STDERR_FILENO, text.data() + done, std::min<std::size_t>(text.size() - done, PIPE_BUF));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    done += static_cast<std::size_t>(written);
  }
  return done;
}

bool standard_error_is_terminal() noexcept { return ::isatty(STDERR_FILENO) == 1; }

}  // namespace ferry

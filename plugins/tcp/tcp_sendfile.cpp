#include "tcp_sendfile.hpp"

#include <sys/sendfile.h>

#include "ferry/sdk/sigpipe.hpp"

namespace ferry::tcp {

ssize_t send_file_without_signal(int fd, int file, std::uint64_t offset, std::size_t size) noexcept {
  off_t position = static_cast<off_t>(offset);
  return plugin::without_sigpipe([&] { return ::sendfile(fd, file, &position, size); });
}

}  // namespace ferry::tcp

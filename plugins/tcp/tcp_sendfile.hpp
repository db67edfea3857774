// sendfile(2) without its signal.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace ferry::tcp {

/// sendfile(2) from `offset` of `file` to the socket `fd`, its results and errno, except that SIGPIPE is never raised
/// (see ferry/sdk/sigpipe.hpp). [any-thread]
ssize_t send_file_without_signal(int fd, int file, std::uint64_t offset, std::size_t size) noexcept;

}  // namespace ferry::tcp

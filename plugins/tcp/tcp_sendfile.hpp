// sendfile(2) without its signal.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace ferry::tcp {

/// sendfile(2) from `offset` of `file` to the socket `fd`, its results and errno, except that SIGPIPE is never raised:
/// sendfile has no flag like MSG_NOSIGNAL, and the disposition of a signal belongs to the application. The signal that
/// the kernel sends with EPIPE is aimed at the calling thread; it is blocked there for the call and taken out again.
/// A SIGPIPE that was pending before stays pending. [any-thread]
ssize_t send_file_without_signal(int fd, int file, std::uint64_t offset, std::size_t size) noexcept;

}  // namespace ferry::tcp

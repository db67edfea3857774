// Setting socket options and reading back what the kernel made of them.
#pragma once

#include <cstdint>

namespace ferry::plugin {

/// setsockopt(2) of an int; throws Failure naming `option`, as the user spells it, when the system refuses.
void set_socket_option(int fd, int level, int name, int value, const char* option);

/// getsockopt(2) of an int; -1 when the system has no answer (no option used here has negative values).
int socket_option(int fd, int level, int name) noexcept;

/// The buffer sizes, in bytes, to ask for; 0 leaves the system's own.
struct SocketBuffers {
  std::int64_t send = 0;
  std::int64_t receive = 0;
};

/// Asks for `wanted`. The kernel silently clamps to net.core.wmem_max and rmem_max, so this cannot fail on size.
void set_socket_buffers(int fd, const SocketBuffers& wanted);

/// What is in force, as the kernel says it. Linux answers with twice what it accepted, because its own bookkeeping
/// comes out of the same budget (socket(7)); the figure is passed on unchanged. -1 where there is no answer.
SocketBuffers granted_socket_buffers(int fd) noexcept;

}  // namespace ferry::plugin

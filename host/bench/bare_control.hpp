// What `ferry bench` and the processes of its quic baseline say to each other over a socket: native byte order and
// layout, since both come from one build.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "bench/round.hpp"

namespace ferry::bench {

/// One round to take part in.
struct BareCommand {
  Round round;
  std::uint64_t spinning = 0;
};

/// Its end, followed by that many latencies of eight bytes.
struct BareReport {
  std::int64_t cpu_ns = 0;  ///< used by the process in the round
  std::uint64_t latencies = 0;
};

/// Reads all `size` bytes; false when the other process has gone. Blocks.
inline bool read_all(int fd, void* data, std::size_t size) {
  auto* at = static_cast<char*>(data);
  while (size > 0) {
    const ssize_t got = ::read(fd, at, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

/// Writes all `size` bytes to a socket, or throws std::system_error. Blocks.
inline void write_all(int socket, const void* data, std::size_t size) {
  const auto* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t put = ::send(socket, at, size, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw std::system_error(errno, std::generic_category(), "bench control socket");
    at += put;
    size -= static_cast<std::size_t>(put);
  }
}

}  // namespace ferry::bench

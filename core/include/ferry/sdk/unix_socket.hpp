// Unix socket addresses of any length, and connecting to them with errors that say what to do.
//
// sun_path holds 107 bytes and a NUL (unix(7)). A longer path is reached as /proc/self/fd/<directory>/<name>, with the
// directory held open meanwhile; changing the working directory would do as well but belongs to the whole process.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "ferry/plugin.hpp"
#include "ferry/sdk/unique_fd.hpp"

namespace ferry::plugin {

inline constexpr std::size_t max_sun_path_bytes = sizeof(sockaddr_un::sun_path) - 1;
/// Longest last component of a path above max_sun_path_bytes: "/proc/self/fd/", seven digits and "/" go before it.
inline constexpr std::size_t max_long_path_name_bytes = max_sun_path_bytes - 22;

/// Longest path, bounded by what an address in ferry_connection_info holds.
inline constexpr std::size_t max_socket_path_bytes = FERRY_ADDRESS_SIZE - 1;

/// Checks that `path`, absolute or relative, can name a socket file, looking at nothing but its text. Throws
/// Failure(INVALID) naming the part at fault.
void check_socket_path(std::string_view path);

/// Joins a relative `path` to the absolute `directory`; an absolute one stays. Throws Failure(INVALID) when the outcome
/// is too long.
std::string absolute_socket_path(std::string_view path, std::string_view directory);

/// A sockaddr_un and what keeps it valid.
struct UnixSocketAddress {
  sockaddr_un address{};
  socklen_t size = 0;
  UniqueFd directory;  ///< held open while a long path's address is in use

  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&address); }
};

/// The address of the absolute `path`. Throws Failure: INVALID when not even its last component fits, NOT_FOUND or
/// PERMISSION when a long path's directory cannot be opened, UNSUPPORTED when it needs /proc and there is none.
UnixSocketAddress path_socket_address(const std::string& path);

/// The address of the abstract `name` (Linux; without the leading '@', at most max_sun_path_bytes).
UnixSocketAddress abstract_socket_address(std::string_view name);

/// Connects a stream socket to `address`, into `out`: connected, non-blocking, close-on-exec. Returns FERRY_OK, or
/// WOULD_BLOCK, TIMED_OUT, INTERRUPTED; throws Failure for everything else, saying why as far as the file system
/// tells; `path` is what to look at, empty for abstract names. Blocks until the deadline while the listener's backlog
/// is full. Any thread.
ferry_status connect_unix(const UnixSocketAddress& address, const std::string& path, std::int64_t deadline_ns,
                          const ferry_cancel* cancel, UniqueFd& out);

}  // namespace ferry::plugin

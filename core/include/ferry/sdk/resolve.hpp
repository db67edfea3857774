// From a HostAddress to socket addresses, honouring a deadline and a cancel handle although getaddrinfo knows neither.
//
// A literal is converted in place. A name is looked up on a thread of its own, which owns everything it touches: when
// the caller gives up, the thread is left to end by itself and its result is dropped. That is safe because plugins are
// never unloaded. Rejected: getaddrinfo_a, whose cancellation waits for the very look-up that hangs.
#pragma once

#include <netdb.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "ferry/plugin.hpp"
#include "ferry/sdk/host_address.hpp"

namespace ferry::plugin {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const noexcept { return storage.ss_family; }
  /// A loopback address, or the unspecified one, which Linux connects to loopback.
  bool is_local() const noexcept;
  /// `host:port` text, with the zone of a link-local address.
  std::string text() const;
  static SocketAddress local_of(int fd) noexcept;
  static SocketAddress peer_of(int fd) noexcept;
  friend bool operator==(const SocketAddress& left, const SocketAddress& right) noexcept;
};

/// getaddrinfo, or what a test puts in its place. It may block for ever.
using Lookup = int (*)(const char* node, const char* service, const addrinfo* hints, addrinfo** result);

/// Look-ups that may hang at once in this process; one more is refused with FERRY_NO_RESOURCES.
inline constexpr int max_pending_lookups = 64;
/// Results kept of one look-up.
inline constexpr std::size_t max_results = 16;

/// Look-ups under way, abandoned ones included. Any thread.
int pending_lookups() noexcept;

/// The addresses of `address` in the resolver's order of preference, at least one, all with the address's port, for
/// stream and datagram sockets alike. Blocks until the deadline; a name with FERRY_NO_WAIT gives FERRY_WOULD_BLOCK.
/// Throws Failure: NOT_FOUND, TIMED_OUT, WOULD_BLOCK, INTERRUPTED (by `cancel`), NO_RESOURCES, UNREACHABLE (the
/// resolver itself failed), IO. Any thread.
std::vector<SocketAddress> resolve(const HostAddress& address, AddressFamily family, std::int64_t deadline_ns,
                                   const ferry_cancel* cancel, Lookup lookup = &getaddrinfo);

}  // namespace ferry::plugin

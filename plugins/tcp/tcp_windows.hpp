// TCP over Winsock: addresses, connecting, listening and options.
#pragma once

#include <winsock2.h>
// after winsock2.h
#include <ws2tcpip.h>

#include <cstdint>
#include <string>
#include <vector>

#include "ferry/plugin.hpp"
#include "ferry/sdk/host_address.hpp"
#include "ferry/sdk/unique_handle.hpp"
#include "tcp_options.hpp"

namespace ferry::tcp {

struct SocketAddress {
  sockaddr_storage storage{};
  int size = 0;

  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const noexcept { return storage.ss_family; }
  /// `host:port` text, with the zone of a link-local address.
  std::string text() const;
  static SocketAddress local_of(SOCKET socket) noexcept;
  static SocketAddress peer_of(SOCKET socket) noexcept;
  friend bool operator==(const SocketAddress& left, const SocketAddress& right) noexcept;
};

/// The addresses of `address` in the resolver's order of preference, at least one, all with the address's port. Blocks
/// until the deadline; a name with FERRY_NO_WAIT gives FERRY_WOULD_BLOCK. Throws plugin::Failure: NOT_FOUND, TIMED_OUT,
/// WOULD_BLOCK, INTERRUPTED (by `cancel`), NO_RESOURCES, UNREACHABLE, IO. Any thread.
///
/// A name is looked up on a thread of its own, which owns everything it touches: when the caller gives up, the thread
/// is left to end by itself. At most 64 of them hang at once.
std::vector<SocketAddress> resolve(const plugin::HostAddress& address, Family family, std::int64_t deadline_ns,
                                   const ferry_cancel* cancel);

/// A connected socket to one of `candidates` (at least one), with the options applied: RFC 8305, as tcp_connect.hpp has
/// it. FERRY_NO_WAIT is FERRY_WOULD_BLOCK: Windows finishes no handshake within the call. Throws plugin::Failure.
plugin::UniqueSocket connect_first(const std::vector<SocketAddress>& candidates, const Settings& settings,
                                   std::int64_t deadline_ns, const ferry_cancel* cancel);

/// A listening socket at the first of the address's that this machine has, IPv4 before IPv6, which nobody else can bind
/// beside (SO_EXCLUSIVEADDRUSE: what Windows calls SO_REUSEADDR would let another program take the port over).
plugin::UniqueSocket open_listening_socket(const plugin::HostAddress& address, const Settings& settings);

/// Puts the options on a socket. Throws plugin::Failure naming the option that the system refused or has not.
void apply_options(SOCKET socket, const Settings& settings);
/// Fills what is in force on a socket.
void read_back(SOCKET socket, ferry_value* values, std::uint32_t count);

}  // namespace ferry::tcp

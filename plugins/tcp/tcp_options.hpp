// The option table of the tcp transport, and putting options on sockets and reading back what the kernel granted.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <string>

#include "ferry/plugin.hpp"
#include "ferry/sdk/host_address.hpp"
#include "ferry/sdk/socket_options.hpp"

namespace ferry::tcp {

/// Rows of option_table, in order.
enum Option : std::uint32_t {
  option_nodelay,
  option_keepalive,
  option_keepalive_idle,
  option_keepalive_interval,
  option_keepalive_count,
  option_user_timeout,
  option_sndbuf,
  option_rcvbuf,
  option_congestion,
  option_mptcp,
  option_family,
  option_reuse_port,
  option_backlog,
  option_count
};

inline constexpr std::int64_t second_ns = 1'000'000'000;
inline constexpr std::int64_t millisecond_ns = 1'000'000;
/// Largest keepalive times and count that Linux takes (MAX_TCP_KEEPIDLE, _KEEPINTVL, _KEEPCNT in its net/tcp.h).
inline constexpr std::int64_t max_keepalive_seconds = 32767;
inline constexpr std::int64_t max_keepalive_count = 127;
/// The kernel doubles buffer sizes in an int.
inline constexpr std::int64_t max_buffer_bytes = INT32_MAX / 2;
inline constexpr std::int64_t max_backlog = 65535;

inline constexpr const char* family_choices[] = {"any", "ipv4", "ipv6", nullptr};

inline constexpr std::uint32_t reloadable = plugin::option::both | FERRY_OPTION_RELOADABLE;

inline constexpr std::array<ferry_option, option_count> option_table = {
    plugin::option::boolean("nodelay", "true",
                            "send small writes at once instead of waiting for acknowledgements "
                            "(Nagle's algorithm off)",
                            reloadable),
    plugin::option::boolean("keepalive", "true",
                            "probe an idle peer, so that one that vanished without a word is noticed", reloadable),
    plugin::option::duration("keepalive_idle", "60s", second_ns, max_keepalive_seconds* second_ns,
                             "idle time before the first probe; the kernel counts whole seconds", reloadable),
    plugin::option::duration("keepalive_interval", "10s", second_ns, max_keepalive_seconds* second_ns,
                             "time between probes; the kernel counts whole seconds", reloadable),
    plugin::option::integer("keepalive_count", "6", 1, max_keepalive_count,
                            "unanswered probes after which the connection is given up", reloadable),
    plugin::option::duration("user_timeout", nullptr, millisecond_ns, std::int64_t{INT32_MAX} * millisecond_ns,
                             "give the connection up when sent data stays unacknowledged for so long; unset: about 15 "
                             "minutes of retransmissions",
                             reloadable),
    plugin::option::size("sndbuf", nullptr, 1, max_buffer_bytes,
                         "send buffer of the kernel, fixed; unset: the kernel tunes it, which suits most"),
    plugin::option::size("rcvbuf", nullptr, 1, max_buffer_bytes,
                         "receive buffer of the kernel, fixed; unset: the kernel tunes it, which suits most"),
    plugin::option::text("congestion", nullptr,
                         "congestion control algorithm, for example bbr or cubic; unset: the "
                         "system's (net.ipv4.tcp_congestion_control)",
                         reloadable),
    plugin::option::boolean("mptcp", "false",
                            "use Multipath TCP (RFC 8684); falls back to plain TCP with a peer that "
                            "does not speak it"),
    plugin::option::choice("family", "any", family_choices, "IP version to use where the address leaves a choice"),
    plugin::option::boolean("reuse_port", "false",
                            "let several listeners of this user share the port; the kernel "
                            "spreads the clients over them",
                            FERRY_OPTION_LISTEN),
    plugin::option::integer("backlog", "1024", 1, max_backlog,
                            "established connections that may wait for accept; the "
                            "kernel caps it at net.core.somaxconn",
                            FERRY_OPTION_LISTEN),
};

using Family = plugin::AddressFamily;

/// One set of option values, owned, so that a listener can keep them.
struct Settings {
  explicit Settings(plugin::Options options);

  bool nodelay, keepalive;
  int keepalive_idle_s, keepalive_interval_s, keepalive_count;
  int user_timeout_ms;  ///< 0: the system's
  plugin::SocketBuffers buffers;
  std::string congestion;  ///< empty: the system's
  bool mptcp, reuse_port;
  Family family;
  int backlog;
  std::bitset<option_count> explicit_options;  ///< those the user gave
};

/// Puts the reloadable options on a socket. Throws plugin::Failure naming the option that the kernel refused.
void apply_reloadable(int fd, const Settings& settings);
/// Puts every option on a fresh socket, before connect or listen: the buffer sizes decide the window scale, which is
/// settled in the handshake. On a listening socket they are what accepted sockets inherit. Throws as apply_reloadable.
void apply_all(int fd, const Settings& settings);

/// Fills what is in force on a socket: what the kernel granted, not what was asked. Values that this kind of socket
/// does not have keep is_set 0. `text` members are static.
void read_back(int fd, ferry_value* values, std::uint32_t count);

}  // namespace ferry::tcp

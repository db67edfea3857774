// Address text of transports over IP, `host:port`: split and checked without opening or resolving anything.
//
//   address = host ":" port
//   host    = IPv4 literal | "[" IPv6 literal [ "%" zone ] "]" | host name (RFC 1123) | "*" | nothing
//   port    = 0 … 65535 | "auto"
//
// `*` and an empty host mean every interface; port 0 and `auto` let the kernel choose. Both are for listening only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ferry::plugin {

/// The version of IP, where an address leaves a choice.
enum class AddressFamily : std::uint8_t { any, ipv4, ipv6 };

enum class HostKind : std::uint8_t { every_interface, ipv4, ipv6, name };

struct HostAddress {
  HostKind kind = HostKind::every_interface;
  std::string host;        ///< without brackets; empty for every_interface
  std::uint16_t port = 0;  ///< 0: the kernel chooses
};

/// Longest host name in text (RFC 1035, section 2.3.4: 255 octets on the wire) and its longest label.
inline constexpr std::size_t max_host_name_bytes = 253;
inline constexpr std::size_t max_label_bytes = 63;
/// Longest zone after `%`: an interface name (IF_NAMESIZE without its NUL) or index.
inline constexpr std::size_t max_zone_bytes = 15;

/// Parses `text`. Throws plugin::Failure(FERRY_INVALID) whose message names the part at fault. Does not block.
HostAddress parse_host_address(std::string_view text);

/// Throws plugin::Failure(FERRY_INVALID) where the address can be listened at but not connected to.
void require_dialable(const HostAddress& address);

/// `host:port`, with brackets around an IPv6 literal.
std::string format_host_address(std::string_view host, std::uint16_t port);

}  // namespace ferry::plugin

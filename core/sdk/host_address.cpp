#include "ferry/sdk/host_address.hpp"

#if defined(_WIN32)
#include <winsock2.h>
// after winsock2.h
#include <ws2tcpip.h>  // inet_pton
#else
#include <arpa/inet.h>
#endif

#include <algorithm>
#include <charconv>

#include "ferry/plugin.hpp"

namespace ferry::plugin {
namespace {

constexpr std::size_t max_quoted_bytes = 64;

[[noreturn]] void invalid(std::string message) { throw Failure(FERRY_INVALID, std::move(message)); }

/// The text in quotes, cut and with unprintable bytes replaced, so that a hostile address cannot garble a log.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, max_quoted_bytes)) out += c >= 0x20 && c != 0x7f ? c : '?';
  if (text.size() > max_quoted_bytes) out += "...";
  return out + "'";
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex_digit(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
}

std::uint16_t parse_port(std::string_view text) {
  if (text.empty())
    invalid("the port is missing after ':'; write for example 127.0.0.1:7000, or 0 to listen at any free port");
  if (text == "auto") return 0;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::invalid_argument || end != text.data() + text.size()) {
    invalid("port " + quoted(text) + " is not a number; service names are not looked up");
  }
  if (error != std::errc() || value > 65535) invalid("port " + quoted(text) + " is out of range: 0 to 65535");
  return static_cast<std::uint16_t>(value);
}

void check_ipv6(std::string_view host) {
  const std::size_t percent = host.find('%');
  const std::string literal(host.substr(0, percent));
  in6_addr ignored;
  if (literal.find('\0') != std::string::npos || literal.size() >= INET6_ADDRSTRLEN ||
      inet_pton(AF_INET6, literal.c_str(), &ignored) != 1) {
    invalid(quoted(literal) + " between the brackets is not an IPv6 address");
  }
  if (percent == std::string_view::npos) return;
  const std::string_view zone = host.substr(percent + 1);
  const auto allowed = [](char c) { return is_name_character(c) || c == '.' || c == ':'; };
  if (zone.empty() || zone.size() > max_zone_bytes || !std::all_of(zone.begin(), zone.end(), allowed)) {
    invalid("zone " + quoted(zone) + " after '%' is not an interface's name or index");
  }
}

void check_label(std::string_view label) {
  if (label.empty()) invalid("the host name has an empty part between dots");
  if (label.size() > max_label_bytes) invalid("the part " + quoted(label) + " of the host name is above 63 bytes");
  if (label.front() == '-' || label.back() == '-') {
    invalid("the part " + quoted(label) + " of the host name starts or ends with '-'");
  }
  const auto wrong = std::find_if_not(label.begin(), label.end(), is_name_character);
  if (wrong == label.end()) return;
  if (static_cast<unsigned char>(*wrong) >= 0x80) {
    invalid("the host name " + quoted(label) + " is not ASCII; write its xn-- form");
  }
  invalid("character " + quoted({&*wrong, 1}) + " cannot stand in a host name");
}

/// Whether inet_aton, which resolvers fall back to, could read a host with this last label as an address.
bool is_number(std::string_view label) {
  if (label.starts_with("0x") || label.starts_with("0X")) {
    return std::all_of(label.begin() + 2, label.end(), is_hex_digit);
  }
  return !label.empty() && std::all_of(label.begin(), label.end(), is_digit);
}

HostKind check_host(std::string_view host) {
  if (host.empty() || host == "*") return HostKind::every_interface;
  if (host.size() > max_host_name_bytes) invalid("the host name is above 253 bytes");
  std::string_view last;
  for (std::string_view rest = host;;) {
    const std::size_t dot = rest.find('.');
    last = rest.substr(0, dot);
    if (last.empty() && dot == std::string_view::npos && host.size() > 1) break;  // "example.org.": the root's dot
    check_label(last);
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  // No top-level domain is a number (RFC 3696, section 2), and the resolver would read "127.1" or "0x7f.1" as an
  // address that nobody meant to write: a host that ends in a number is a full dotted quad or an error.
  if (!is_number(last)) return HostKind::name;
  in_addr ignored;
  if (inet_pton(AF_INET, std::string(host).c_str(), &ignored) != 1) {
    invalid(quoted(host) + " is not an IPv4 address: four numbers from 0 to 255");
  }
  return HostKind::ipv4;
}

}  // namespace

HostAddress parse_host_address(std::string_view text) {
  if (text.empty()) invalid("the address is empty; write host:port, for example 127.0.0.1:7000");
  if (text.front() == '[') {
    const std::size_t closing = text.find(']');
    if (closing == std::string_view::npos) invalid("the ']' after the IPv6 address is missing");
    const std::string_view host = text.substr(1, closing - 1);
    check_ipv6(host);
    const std::string_view rest = text.substr(closing + 1);
    if (rest.empty() || rest.front() != ':') invalid("':' and a port must follow ']', for example [::1]:7000");
    return {HostKind::ipv6, std::string(host), parse_port(rest.substr(1))};
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    invalid("the port is missing in " + quoted(text) + "; write host:port, for example 127.0.0.1:7000");
  }
  if (text.find(':', colon + 1) != std::string_view::npos) {
    invalid("there is more than one ':'; an IPv6 address stands in brackets, for example [::1]:7000");
  }
  const std::string_view host = text.substr(0, colon);
  const HostKind kind = check_host(host);
  const std::uint16_t port = parse_port(text.substr(colon + 1));
  return {kind, kind == HostKind::every_interface ? std::string() : std::string(host), port};
}

void require_dialable(const HostAddress& address) {
  if (address.kind == HostKind::every_interface) {
    invalid("an address without a host (or with '*') can only be listened at; name the host to connect to");
  }
  if (address.port == 0) invalid("port 0 (auto) can only be listened at; name the port to connect to");
}

std::string format_host_address(std::string_view host, std::uint16_t port) {
  const bool bracketed = host.find(':') != std::string_view::npos;
  std::string out;
  out.reserve(host.size() + 8);
  if (bracketed) out += '[';
  out += host;
  if (bracketed) out += ']';
  return out.append(":").append(std::to_string(port));
}

}  // namespace ferry::plugin

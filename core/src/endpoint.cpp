// Descriptors printed, and the error that shows where one is malformed.
#include "ferry/endpoint.hpp"

#include <algorithm>
#include <cstdint>

#include "endpoint_grammar.hpp"
#include "text.hpp"

namespace ferry {
namespace {

constexpr std::size_t shown_before_caret_bytes = 60;
constexpr std::size_t shown_after_caret_bytes = 20;

bool is_continuation(char c) noexcept { return (static_cast<std::uint8_t>(c) & 0xc0u) == 0x80u; }

/// The part of `text` around `offset` on one line, and a caret under that byte on the next.
std::string show(std::string_view text, std::size_t offset) {
  std::size_t begin = offset > shown_before_caret_bytes ? offset - shown_before_caret_bytes : 0;
  std::size_t end = std::min(text.size(), offset + shown_after_caret_bytes);
  while (begin > 0 && is_continuation(text[begin])) --begin;
  while (end < text.size() && is_continuation(text[end])) ++end;
  const std::string before = text::printable(text.substr(begin, offset - begin));
  const auto columns =
      static_cast<std::size_t>(std::count_if(before.begin(), before.end(), [](char c) { return !is_continuation(c); }));
  const std::string_view lead = begin > 0 ? "  …" : "  ";
  std::string shown = "\n" + std::string(lead) + before + text::printable(text.substr(offset, end - offset));
  if (end < text.size()) shown += "…";
  return shown + "\n" + std::string(columns + (begin > 0 ? 3 : 2), ' ') + "^";
}

bool is_plain(char c, std::string_view reserved) noexcept {
  return c > ' ' && c != 0x7f && reserved.find(c) == std::string_view::npos;
}

/// Escapes what would end the part or start another, and what shells and logs mangle; other UTF-8 stays readable.
std::string escape(std::string_view text, std::string_view reserved) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte >= 0x80 || is_plain(c, reserved)) {
      out += c;
    } else {
      out += '%';
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
  return out;
}

constexpr std::string_view reserved_in_address = "%?,#\"'<>`|";
constexpr std::string_view reserved_in_option = "%?,#\"'<>`|&=";

std::string print(std::string_view scheme, std::string_view address, const std::vector<EndpointOption>& options) {
  std::string out = std::string(scheme) + "://" + escape(address, reserved_in_address);
  char separator = '?';
  for (const EndpointOption& option : options) {
    out += separator + escape(option.name, reserved_in_option) + "=" + escape(option.value, reserved_in_option);
    separator = '&';
  }
  return out;
}

/// The address as `<dir>/domain/<name>`. The parser removes the first `/domain/`, so it goes before any that the path
/// has of its own, else before the file name.
std::string with_domain(const std::string& path) {
  std::size_t at = path.find(grammar::domain_separator);
  if (at == std::string::npos) at = path.rfind('/');
  if (at == std::string::npos || !grammar::is_socket_path(path)) return {};
  return path.substr(0, at) + std::string(grammar::domain_separator) + path.substr(at + 1);
}

}  // namespace

DescriptorError::DescriptorError(std::string_view text, std::size_t offset, const std::string& reason)
    : Error(Status::invalid, "parse descriptor", "", reason + show(text, std::min(offset, text.size()))),
      offset_(std::min(offset, text.size())),
      reason_(reason) {}

std::string Endpoint::to_string() const { return print(scheme, address, options); }

std::string Endpoint::to_tab() const {
  if (scheme == "tcp") {
    const bool any_port = address.ends_with(":0");
    return print("tab.tcp", any_port ? address.substr(0, address.size() - 1) + "auto" : address, options);
  }
  if (scheme == "uds") {
    const std::string spelled = with_domain(address);
    if (!spelled.empty()) return print("tab.domain", spelled, options);
  }
  if (scheme == "npipe" && grammar::is_pipe_address(address)) return print("tab.pipe", address, options);
  throw Error(Status::unsupported, "print in the tab form", to_string(),
              "only tcp, socket files (uds) and named pipes (npipe) have a tab.* form");
}

}  // namespace ferry

// Shapes of addresses that both the descriptor parser and the printer must agree on.
#pragma once

#include <cstddef>
#include <string_view>

namespace ferry::grammar {

inline constexpr std::string_view domain_separator = "/domain/";

/// A socket file: starts with '/', './' or '../' (so that a forgotten slash in `uds://run/x` is no path) and names a
/// file, not a directory.
constexpr bool has_path_prefix(std::string_view text) noexcept {
  return text.starts_with("/") || text.starts_with("./") || text.starts_with("../");
}
constexpr bool is_socket_path(std::string_view text) noexcept { return has_path_prefix(text) && !text.ends_with('/'); }

/// `<host>/pipe/<name>`, the host without a slash.
constexpr bool is_pipe_address(std::string_view text) noexcept {
  constexpr std::string_view separator = "/pipe/";
  const std::size_t slash = text.find('/');
  return slash != std::string_view::npos && slash > 0 && text.substr(slash).starts_with(separator) &&
         text.size() > slash + separator.size();
}

/// The canonical scheme that a spelling of the grammar stands for ("uds" for "unix"); empty for schemes it does not
/// know.
std::string_view canonical_scheme(std::string_view spelling) noexcept;

}  // namespace ferry::grammar

// Descriptors: text that names an endpoint, and its parsed form. The grammar is in docs/reference/descriptors.md.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "ferry/error.hpp"

namespace ferry {

/// A malformed descriptor; offset() is the byte at fault and what() shows it with a caret.
class DescriptorError : public Error {
 public:
  DescriptorError(std::string_view text, std::size_t offset, const std::string& reason);
  std::size_t offset() const noexcept { return offset_; }
  /// What is wrong and what to write instead. Quotes no address and no option value, which may be secret.
  const std::string& reason() const noexcept { return reason_; }

 private:
  std::size_t offset_;
  std::string reason_;
};

/// One `name=value` of a descriptor's query, percent-decoded.
struct EndpointOption {
  std::string name;
  std::string value;
  friend bool operator==(const EndpointOption&, const EndpointOption&) = default;
};

/// A parsed descriptor. The address text belongs to the plugin; here it is only carried.
struct Endpoint {
  std::string scheme;   ///< canonical, lower case: "tcp" also for `tab.tcp` and bare host:port, "uds" also for `unix`
  std::string address;  ///< decoded, without the query: "127.0.0.1:7000", "/run/x.sock", "@name", "./pipe/name"
  std::vector<EndpointOption> options;  ///< in the order written, names unique

  friend bool operator==(const Endpoint&, const Endpoint&) = default;

  /// `scheme://address?name=value&…`, escaped where needed. A parsed endpoint's text parses back to an equal one.
  std::string to_string() const;
  /// The `tab.*` spelling (tab.tcp, tab.domain, tab.pipe), which parses back alike. Throws Error(unsupported) for
  /// schemes and addresses without one: others, abstract sockets, pipes not of the form `<host>/pipe/<name>`.
  std::string to_tab() const;
};

inline constexpr std::size_t max_descriptor_bytes = 4096;  ///< of each spelling: as written and as printed
inline constexpr std::size_t max_descriptors_per_list = 64;
inline constexpr std::size_t max_options_per_descriptor = 64;

/// Parses one descriptor. Opens and resolves nothing. Throws DescriptorError.
Endpoint parse_endpoint(std::string_view text);
/// Parses a comma-separated list, in order. Throws DescriptorError with the offset in the whole text.
std::vector<Endpoint> parse_endpoints(std::string_view text);

}  // namespace ferry

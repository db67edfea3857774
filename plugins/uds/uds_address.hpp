// The address text of the uds transport. I/O-free.
#pragma once

#include <string>
#include <string_view>

#include "ferry/sdk/unix_listener.hpp"

namespace ferry::uds {

/// Either a path of the file system, as given, or an abstract name, which no file stands for (Linux, unix(7)).
using Address = plugin::UnixSocketName;

/// Parses "/absolute/path", "relative/path" or "@name". Throws plugin::Failure(FERRY_INVALID) naming the part at fault.
Address parse_address(std::string_view text);

/// True for a path that does not start with '/'.
bool is_relative(const Address& address) noexcept;

/// Joins a relative path to the absolute `directory`. Throws Failure(FERRY_INVALID) when the outcome is too long.
Address absolute(Address address, std::string_view directory);

/// The text that parses back to `address`.
std::string to_text(const Address& address);

}  // namespace ferry::uds

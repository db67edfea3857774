// The address text of the npipe transport, the same on every system. I/O-free.
#pragma once

#include <string>
#include <string_view>

namespace ferry::npipe {

/// "<host>/pipe/<name>", or an absolute path of a POSIX file system.
struct Address {
  std::string host;  ///< "." is this machine; empty for a path
  std::string name;  ///< of the pipe; empty for a path
  std::string path;  ///< empty for a name
};

/// The longest name that both a file name on POSIX (255 bytes, less what stands beside it) and Windows (256 characters
/// with "\\.\pipe\") can hold.
inline constexpr std::size_t max_name_bytes = 240;

/// Parses either form. Throws plugin::Failure(FERRY_INVALID) naming the part at fault. Whether this system can serve
/// it is for connect and listen to say.
Address parse_address(std::string_view text);

/// The text that parses back to `address`.
std::string to_text(const Address& address);

}  // namespace ferry::npipe

// The address text of the shm transport. I/O-free.
#pragma once

#include <string>
#include <string_view>

namespace ferry::shm_spsc {

/// Where a listener is met: at a name, or at the path of a socket.
struct Address {
  std::string text;  ///< as given
  bool named = false;
};

/// Parses "name" (no '/'; letters, digits, '.', '_' and '-', at most 64, not starting with '.') or a path, absolute or
/// relative ("./x.shm"). Throws plugin::Failure(FERRY_INVALID) naming the part at fault.
Address parse_address(std::string_view text);

/// Throws Failure(FERRY_INVALID) when the text, which has a '/', is no path of this system.
void check_path(std::string_view text);

/// On Windows the name of the rendezvous pipe. Throws Failure(FERRY_UNSUPPORTED) for a path.
std::wstring pipe_name(const Address& address);

/// On POSIX systems the absolute path of the socket file: `run_time_directory`/name.shm, or the path, relative to
/// `working_directory`. Throws Failure(FERRY_INVALID) when it is too long.
std::string socket_path(const Address& address, std::string_view run_time_directory,
                        std::string_view working_directory);

}  // namespace ferry::shm_spsc

// The address text of the shm transport. I/O-free.
#pragma once

#include <string>
#include <string_view>

namespace ferry::shm_spsc {

/// Where a listener's socket is: a name in the user's run-time directory, or a path.
struct Address {
  std::string text;  ///< as given
  bool named = false;
};

/// Parses "name" (no '/'; letters, digits, '.', '_' and '-', at most 64, not starting with '.') or a path, absolute or
/// relative ("./x.shm"). Throws plugin::Failure(FERRY_INVALID) naming the part at fault.
Address parse_address(std::string_view text);

/// The absolute path of the socket file: `run_time_directory`/name.shm, or the path, relative to `working_directory`.
/// Throws Failure(FERRY_INVALID) when it is too long.
std::string socket_path(const Address& address, std::string_view run_time_directory,
                        std::string_view working_directory);

}  // namespace ferry::shm_spsc

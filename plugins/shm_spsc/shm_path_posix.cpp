#include "ferry/sdk/unix_socket.hpp"
#include "shm_address.hpp"

namespace ferry::shm_spsc {

void check_path(std::string_view text) { plugin::check_socket_path(text); }

std::string socket_path(const Address& address, std::string_view run_time_directory,
                        std::string_view working_directory) {
  if (!address.named) return plugin::absolute_socket_path(address.text, working_directory);
  return plugin::absolute_socket_path(address.text + ".shm", run_time_directory);
}

}  // namespace ferry::shm_spsc

#include "uds_address.hpp"

#include "ferry/plugin.hpp"
#include "ferry/sdk/unix_socket.hpp"

namespace ferry::uds {
namespace {

[[noreturn]] void reject(const std::string& why) { throw plugin::Failure(FERRY_INVALID, why); }

}  // namespace

Address parse_address(std::string_view text) {
  if (text.empty()) reject("the address is empty; give a path such as /run/app.sock, or @name");
  if (text.front() == '\0') reject("the address holds a NUL at byte 0; abstract names are written @name");
  if (text.front() != '@') {
    plugin::check_socket_path(text);
    return {std::string(text), false};
  }
  const std::string_view name = text.substr(1);
  if (name.empty()) reject("the abstract name after '@' is empty");
  if (const std::size_t nul = name.find('\0'); nul != std::string_view::npos) {
    reject("the address holds a NUL at byte " + std::to_string(nul + 1));
  }
  if (name.size() > plugin::max_sun_path_bytes) {
    reject("the abstract name has " + std::to_string(name.size()) + " bytes; the system takes at most " +
           std::to_string(plugin::max_sun_path_bytes));
  }
  return {std::string(name), true};
}

bool is_relative(const Address& address) noexcept { return !address.abstract && address.text.front() != '/'; }

Address absolute(Address address, std::string_view directory) {
  address.text = plugin::absolute_socket_path(address.text, directory);
  return address;
}

std::string to_text(const Address& address) { return (address.abstract ? "@" : "") + address.text; }

}  // namespace ferry::uds

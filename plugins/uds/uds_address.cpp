#include "uds_address.hpp"

#include "ferry/plugin.hpp"
#include "ferry/sdk/unix_socket.hpp"

namespace ferry::uds {
namespace {

constexpr std::size_t max_path_bytes = FERRY_ADDRESS_SIZE - 1;

[[noreturn]] void reject(const std::string& why) { throw plugin::Failure(FERRY_INVALID, why); }

void check_length(const std::string& path) {
  if (path.size() > max_path_bytes) {
    reject("the path has " + std::to_string(path.size()) + " bytes; at most " + std::to_string(max_path_bytes) +
           " are supported");
  }
  const std::size_t name_size = path.size() - (path.rfind('/') + 1);
  if (path.size() > plugin::max_sun_path_bytes && name_size > plugin::max_long_path_name_bytes) {
    reject("the file name has " + std::to_string(name_size) + " bytes; in a path of more than " +
           std::to_string(plugin::max_sun_path_bytes) + " bytes the system can address at most " +
           std::to_string(plugin::max_long_path_name_bytes));
  }
}

}  // namespace

Address parse_address(std::string_view text) {
  if (text.empty()) reject("the address is empty; give a path such as /run/app.sock, or @name");
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    reject("the address holds a NUL at byte " + std::to_string(nul) +
           (nul == 0 ? "; abstract names are written @name" : ""));
  }
  if (text.front() == '@') {
    const std::string_view name = text.substr(1);
    if (name.empty()) reject("the abstract name after '@' is empty");
    if (name.size() > plugin::max_sun_path_bytes) {
      reject("the abstract name has " + std::to_string(name.size()) + " bytes; the system takes at most " +
             std::to_string(plugin::max_sun_path_bytes));
    }
    return {std::string(name), true};
  }
  if (text.back() == '/') reject("the path ends with '/'; the socket file needs a name");
  const std::string_view name = text.substr(text.rfind('/') + 1);
  if (name == "." || name == "..") reject("the path ends with '" + std::string(name) + "', which is a directory");
  Address address{std::string(text), false};
  check_length(address.text);
  return address;
}

bool is_relative(const Address& address) noexcept { return !address.abstract && address.text.front() != '/'; }

Address absolute(Address address, std::string_view directory) {
  while (address.text.starts_with("./")) address.text.erase(0, 2);
  address.text = std::string(directory) + (directory.ends_with('/') ? "" : "/") + address.text;
  check_length(address.text);
  return address;
}

std::string to_text(const Address& address) { return (address.abstract ? "@" : "") + address.text; }

}  // namespace ferry::uds

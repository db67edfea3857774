#include "npipe_address.hpp"

#include "ferry/plugin.hpp"

namespace ferry::npipe {
namespace {

constexpr std::string_view separator = "/pipe/";

[[noreturn]] void reject(const std::string& why) { throw plugin::Failure(FERRY_INVALID, why); }

/// A name must mean the same everywhere: Windows takes no backslash, POSIX no slash and neither "." nor "..".
void check_name(std::string_view name, const char* what) {
  if (name.empty()) reject(std::string(what) + " is empty");
  if (name == "." || name == "..") reject(std::string(what) + " is '" + std::string(name) + "', which is a directory");
  if (name.size() > max_name_bytes) {
    reject(std::string(what) + " has " + std::to_string(name.size()) + " bytes; at most " +
           std::to_string(max_name_bytes) + " are supported");
  }
}

/// Windows would take some of these for the end of the host, and the rest of the text for a file or a device.
void check_host(std::string_view host) {
  constexpr std::string_view refused = "\\:?*\"<>|";
  for (const char letter : host) {
    const auto byte = static_cast<unsigned char>(letter);
    if (byte >= ' ' && refused.find(letter) == std::string_view::npos) continue;
    reject("the pipe's host holds " + (byte < ' ' ? "a control character" : std::string("'") + letter + "'") +
           "; write ./pipe/<name> for this machine");
  }
}

Address parse_path(std::string_view text) {
  if (text.back() == '/') reject("the path ends with '/'; the pipe needs a name");
  check_name(text.substr(text.rfind('/') + 1), "the last part of the path");
  return {{}, {}, std::string(text)};
}

}  // namespace

Address parse_address(std::string_view text) {
  if (text.empty()) reject("the address is empty; give ./pipe/<name>, or a path such as /run/app/pipe");
  if (text.size() >= FERRY_ADDRESS_SIZE) {
    reject("the address has " + std::to_string(text.size()) + " bytes; at most " +
           std::to_string(FERRY_ADDRESS_SIZE - 1) + " are supported");
  }
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    reject("the address holds a NUL at byte " + std::to_string(nul));
  }
  if (text.front() == '/') return parse_path(text);
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || !text.substr(slash).starts_with(separator)) {
    reject("a pipe's address is <host>/pipe/<name> or an absolute path; write ./pipe/<name> for this machine");
  }
  const std::string_view host = text.substr(0, slash);
  check_host(host);
  const std::string_view name = text.substr(slash + separator.size());
  if (const std::size_t bad = name.find_first_of("/\\"); bad != std::string_view::npos) {
    reject(std::string("the pipe's name holds '") + name[bad] + "', which not every system can have there");
  }
  check_name(name, "the pipe's name");
  return {std::string(host), std::string(name), {}};
}

std::string to_text(const Address& address) {
  return address.path.empty() ? address.host + std::string(separator) + address.name : address.path;
}

}  // namespace ferry::npipe

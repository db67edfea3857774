#include "ferry/plugin.hpp"
#include "ferry/sdk/security_descriptor.hpp"
#include "shm_address.hpp"

namespace ferry::shm_spsc {

void check_path(std::string_view text) {
  if (text.size() >= FERRY_ADDRESS_SIZE) {
    throw plugin::Failure(FERRY_INVALID, "the address has " + std::to_string(text.size()) + " bytes; at most " +
                                             std::to_string(FERRY_ADDRESS_SIZE - 1) + " are supported");
  }
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    throw plugin::Failure(FERRY_INVALID, "the path holds a NUL at byte " + std::to_string(nul));
  }
}

std::wstring pipe_name(const Address& address) {
  if (!address.named) {
    throw plugin::Failure(
        FERRY_UNSUPPORTED,
        "Windows has no sockets at paths to share memory by; write shm://<name>, or use uds for a path");
  }
  return plugin::wide("\\\\.\\pipe\\ferry-shm-" + address.text);
}

}  // namespace ferry::shm_spsc

// libFuzzer target of the address parser; tcp_address_test feeds it changed addresses as well. Its corpus is
// tests/fuzz/corpus/fuzz_tcp_address.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "ferry/plugin.hpp"
#include "ferry/sdk/host_address.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ferry::plugin;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const HostAddress address = parse_host_address(text);
    // What was accepted is accepted again in its canonical spelling, and means the same.
    const HostAddress again = parse_host_address(format_host_address(address.host, address.port));
    if (again.kind != address.kind || again.host != address.host || again.port != address.port) std::abort();
    if (address.host.size() > max_host_name_bytes || address.host.find('\0') != std::string::npos) std::abort();
  } catch (const ferry::plugin::Failure& failure) {
    if (failure.status() != FERRY_INVALID || std::string_view(failure.what()).size() >= FERRY_MESSAGE_SIZE)
      std::abort();
  }
  return 0;
}

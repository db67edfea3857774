// libFuzzer target of the address parser: its corpus is tests/fuzz/corpus/fuzz_uds_address.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "ferry/plugin.hpp"
#include "ferry/sdk/unix_socket.hpp"
#include "uds_address.hpp"

namespace {

using namespace ferry::uds;

void require(bool holds) {
  if (!holds) std::abort();
}

bool same(const Address& a, const Address& b) { return a.text == b.text && a.abstract == b.abstract; }

void check(const Address& address) {
  require(!address.text.empty() && address.text.find('\0') == std::string::npos);
  require(address.text.size() <= (address.abstract ? ferry::plugin::max_sun_path_bytes : FERRY_ADDRESS_SIZE - 1));
  require(same(parse_address(to_text(address)), address));
  if (!is_relative(address)) return;
  const Address joined = absolute(address, "/run/app");
  require(!is_relative(joined) && same(parse_address(to_text(joined)), joined));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    check(parse_address({reinterpret_cast<const char*>(data), size}));
  } catch (const ferry::plugin::Failure& failure) {
    const std::string_view why = failure.what();
    require(failure.status() == FERRY_INVALID && !why.empty() && why.size() < FERRY_MESSAGE_SIZE);
  }
  return 0;
}

// libFuzzer target of the address parser: its corpus is tests/fuzz/corpus/fuzz_npipe_address.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ferry/plugin.hpp"
#include "npipe_address.hpp"

namespace {

using namespace ferry::npipe;

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const Address& address) {
  require(address.path.empty() != address.name.empty());
  require(address.name.size() <= max_name_bytes && address.name.find_first_of("/\\") == std::string::npos);
  require(address.host.find_first_of("\\/:?") == std::string::npos);
  const Address again = parse_address(to_text(address));
  require(again.host == address.host && again.name == address.name && again.path == address.path);
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

// libFuzzer target of the look into a server's ticket: whatever is in it, early data is allowed only where the whole
// extension is there, and what follows the ticket changes nothing. Its corpus is tests/fuzz/corpus/fuzz_quic_tickets.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "quic_tickets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::array<std::uint8_t, 8> extension = {0, 42, 0, 4, 0xff, 0xff, 0xff, 0xff};
  std::vector<std::uint8_t> message(data, data + size);
  if (!ferry::quic::allows_early_data(message)) return 0;
  if (std::search(message.begin(), message.end(), extension.begin(), extension.end()) == message.end()) std::abort();
  message.insert(message.end(), {0, 42, 0, 4, 0, 0, 0, 0});
  if (!ferry::quic::allows_early_data(message)) std::abort();
  return 0;
}

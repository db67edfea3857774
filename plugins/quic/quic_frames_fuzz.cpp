// libFuzzer target of the search for STOP_SENDING: whatever a peer encrypts, no more is found than can be there, and
// whole frames before it change nothing of it. Its corpus is tests/fuzz/corpus/fuzz_quic_frames.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "quic_frames.hpp"

namespace {

using namespace ferry::quic;

constexpr std::size_t least_stop_bytes = 3;
constexpr std::uint64_t integers_end = std::uint64_t{1} << 62;  // RFC 9000, section 16

std::vector<StopSending> stops_in(const std::vector<std::uint8_t>& payload) {
  std::vector<StopSending> out;
  find_stops(payload, out);
  return out;
}

void require(bool holds) {
  if (!holds) std::abort();
}

void require_same(const StopSending& a, const StopSending& b) {
  require(a.stream_id == b.stream_id && a.code == b.code);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint8_t> payload(data, data + size);
  const std::vector<StopSending> found = stops_in(payload);
  require(found.size() <= size / least_stop_bytes);
  for (const StopSending& stop : found) {
    require(static_cast<std::uint64_t>(stop.stream_id) < integers_end && stop.code < integers_end);
  }
  const std::vector<std::uint8_t> before = {0x01, 0x05, 0x40, 0x84, 0x07, 0x10, 0x05};  // PING, a stop, MAX_DATA
  payload.insert(payload.begin(), before.begin(), before.end());
  const std::vector<StopSending> more = stops_in(payload);
  require(more.size() == found.size() + 1);
  require_same(more[0], {132, 7});
  for (std::size_t i = 0; i < found.size(); ++i) require_same(more[i + 1], found[i]);
  return 0;
}

// libFuzzer target of the rendezvous protocol: its corpus is tests/fuzz/corpus/fuzz_npipe_request. Whatever bytes come,
// every byte is consumed, and a request that follows them is found.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "npipe_request_posix.hpp"

namespace {

using namespace ferry::npipe;

void require(bool holds) {
  if (!holds) std::abort();
}

/// Hands `bytes` to `reader` and returns how many requests it found; the last one's name is left in `id`.
std::size_t feed(RequestReader& reader, std::span<const std::uint8_t> bytes, PairId& id) {
  std::size_t found = 0;
  while (!bytes.empty()) {
    const std::span<std::uint8_t> room = reader.room();
    require(!room.empty());
    const std::size_t size = std::min(room.size(), bytes.size());
    std::copy_n(bytes.begin(), size, room.begin());
    bytes = bytes.subspan(size);
    if (reader.added(size, id) != RequestReader::Found::request) continue;
    reader.taken();
    ++found;
  }
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  RequestReader reader;
  PairId id{};
  feed(reader, {data, size}, id);
  const PairId wanted = {1, 0xF5, 2, 0xF5};
  const Request request = make_request(wanted);
  require(feed(reader, request, id) <= 1);
  // What was held before may have swallowed the first; nothing is left to swallow a second and third.
  require(feed(reader, request, id) + feed(reader, request, id) >= 1 && id == wanted);
  return 0;
}

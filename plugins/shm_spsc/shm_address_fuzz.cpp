// libFuzzer target of what comes from outside as text or bytes: addresses, and the offer that a listener sends. Its
// corpus is tests/fuzz/corpus/fuzz_shm_address; the first byte says which of the two follows.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "ferry/plugin.hpp"
#include "offer.hpp"
#include "shm_address.hpp"

namespace {

using namespace ferry::shm_spsc;

void require(bool holds) {
  if (!holds) std::abort();
}

void check_address(std::string_view text) {
  const Address address = parse_address(text);
  require(address.text == text && text.find('\0') == std::string_view::npos);
  require(address.named == (text.find('/') == std::string_view::npos));
  const std::string path = socket_path(address, "/run/user/7/ferry", "/home");
  require(path.front() == '/' && path.size() < FERRY_ADDRESS_SIZE);
  require(socket_path(parse_address(path), {}, {}) == path);
}

void check_offer(std::span<const std::byte> bytes) {
  const Offer offer = read_offer(bytes);
  if (offer.verdict != Verdict::accepted) return;
  require(std::has_single_bit(offer.ring) && offer.ring >= min_ring_bytes && offer.ring <= max_ring_bytes);
  require(offer.segment >= segment_bytes(offer.ring, 1));
  std::array<std::byte, offer_bytes> written;
  write_offer(offer, written);
  const Offer again = read_offer(written);
  require(again.ring == offer.ring && again.segment == offer.segment && again.huge == offer.huge &&
          again.asymmetric == offer.asymmetric);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  try {
    if (data[0] % 2 == 0) {
      check_address({reinterpret_cast<const char*>(data) + 1, size - 1});
    } else {
      check_offer({reinterpret_cast<const std::byte*>(data) + 1, size - 1});
    }
  } catch (const ferry::plugin::Failure& failure) {
    const std::string_view why = failure.what();
    require(!why.empty() && why.size() < FERRY_MESSAGE_SIZE);
    require(failure.status() == FERRY_INVALID || failure.status() == FERRY_PROTOCOL ||
            failure.status() == FERRY_UNSUPPORTED);
  }
  return 0;
}

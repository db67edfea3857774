#include "offer.hpp"

#include <bit>
#include <cstring>
#include <string>

#include "ferry/plugin.hpp"
#include "ring_machine.hpp"

namespace ferry::shm_spsc {
namespace {

constexpr char magic[8] = {'F', 'E', 'R', 'R', 'Y', 'S', 'H', 'M'};
constexpr std::uint32_t flag_asymmetric = 1;
constexpr std::uint32_t flag_huge = 2;

/// In the machine's own byte order: both ends run on it.
struct Bytes {
  char magic[8];
  std::uint32_t version;
  std::uint32_t verdict;
  std::uint32_t flags;
  std::uint32_t control;  // bytes of one ring's control block
  std::uint64_t ring;
  std::uint64_t segment;
  std::uint8_t reserved[24];
};
static_assert(sizeof(Bytes) == offer_bytes && offsetof(Bytes, ring) == 24 && offsetof(Bytes, reserved) == 40);

[[noreturn]] void reject(ferry_status status, const std::string& why) { throw plugin::Failure(status, why); }

bool is_ring_size(std::uint64_t ring) noexcept {
  return std::has_single_bit(ring) && ring >= min_ring_bytes && ring <= max_ring_bytes;
}

}  // namespace

std::uint64_t segment_bytes(std::uint64_t ring, std::uint64_t page) noexcept {
  return 2 * ring + (2 * sizeof(RingControl) + page - 1) / page * page;
}

void write_offer(const Offer& offer, std::span<std::byte, offer_bytes> out) noexcept {
  Bytes bytes{};
  std::memcpy(bytes.magic, magic, sizeof(magic));
  bytes.version = offer_version;
  bytes.verdict = static_cast<std::uint32_t>(offer.verdict);
  bytes.flags = (offer.asymmetric ? flag_asymmetric : 0) | (offer.huge ? flag_huge : 0);
  bytes.control = sizeof(RingControl);
  bytes.ring = offer.ring;
  bytes.segment = offer.segment;
  std::memcpy(out.data(), &bytes, sizeof(bytes));
}

Offer read_offer(std::span<const std::byte> raw) {
  Bytes bytes{};
  if (raw.size() < sizeof(bytes) || std::memcmp(raw.data(), magic, sizeof(magic)) != 0) {
    reject(FERRY_PROTOCOL, "what listens there does not speak the shm transport's handshake");
  }
  std::memcpy(&bytes, raw.data(), sizeof(bytes));
  if (bytes.version != offer_version) {
    reject(FERRY_UNSUPPORTED, "the listener speaks version " + std::to_string(bytes.version) +
                                  " of the handshake and this plugin version " + std::to_string(offer_version) +
                                  "; use the same release at both ends");
  }
  if (bytes.verdict > static_cast<std::uint32_t>(Verdict::no_resources)) {
    reject(FERRY_PROTOCOL, "the listener's verdict " + std::to_string(bytes.verdict) + " is unknown");
  }
  Offer offer;
  offer.verdict = static_cast<Verdict>(bytes.verdict);
  if (offer.verdict != Verdict::accepted) return offer;
  if (bytes.control != sizeof(RingControl) || !is_ring_size(bytes.ring) ||
      bytes.segment < segment_bytes(bytes.ring, 1)) {
    reject(FERRY_PROTOCOL, "the listener offers rings of " + std::to_string(bytes.ring) + " bytes in a segment of " +
                               std::to_string(bytes.segment) + ", which cannot be");
  }
  offer.asymmetric = (bytes.flags & flag_asymmetric) != 0;
  offer.huge = (bytes.flags & flag_huge) != 0;
  offer.ring = bytes.ring;
  offer.segment = bytes.segment;
  return offer;
}

}  // namespace ferry::shm_spsc

// The one message of the handshake: what a listener says to a client that it accepts, or turns away. I/O-free.
//
// The listener speaks first and waits for no answer, so no client, slow or hostile, can hold up accept, and there are
// no half-accepted clients to count and time out. The client may check and refuse at leisure; it then hangs up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ferry::shm_spsc {

inline constexpr std::uint32_t offer_version = 1;
inline constexpr std::size_t offer_bytes = 64;

inline constexpr std::uint64_t min_ring_bytes = 64u << 10;  // a page of every architecture, and two views of 32 KiB
inline constexpr std::uint64_t max_ring_bytes = std::uint64_t{1} << 30;

enum class Verdict : std::uint32_t {
  accepted = 0,      // the segment and the bell follow as descriptors
  not_admitted = 1,  // no allow-list has the client
  no_resources = 2,  // the listener is out of memory or descriptors
};

/// Descriptors beside an offer that accepts, in this order.
inline constexpr std::size_t offer_descriptors = 2;  // segment, bell

struct Offer {
  Verdict verdict = Verdict::accepted;
  bool asymmetric = false;    // the listener's process is registered for barriers: ring_machine.hpp
  bool huge = false;          // the segment is of huge pages
  std::uint64_t ring = 0;     // bytes of each ring
  std::uint64_t segment = 0;  // bytes of the whole segment
};

/// Bytes of the segment behind two rings of `ring` bytes: their controls, rounded up to `page` bytes.
std::uint64_t segment_bytes(std::uint64_t ring, std::uint64_t page) noexcept;

/// Writes the offer's bytes; README.md lists them.
void write_offer(const Offer& offer, std::span<std::byte, offer_bytes> out) noexcept;

/// Reads and checks an offer. Throws plugin::Failure(FERRY_PROTOCOL) for anything but a sound one, FERRY_UNSUPPORTED
/// for another version.
Offer read_offer(std::span<const std::byte> bytes);

}  // namespace ferry::shm_spsc

// Looks through the frames of a packet for STOP_SENDING (RFC 9000, section 19). No I/O.
//
// ngtcp2 0.12 answers a STOP_SENDING by itself and tells nobody: without this, a writer that waits for a window which
// the peer will never open would wait for ever, and the peer's code would be lost.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ferry::quic {

struct StopSending {
  std::int64_t stream_id;
  std::uint64_t code;
};

/// Appends those in `payload`, a packet's decrypted content, which may be anything at all. Throws std::bad_alloc.
void find_stops(std::span<const std::uint8_t> payload, std::vector<StopSending>& out);

}  // namespace ferry::quic

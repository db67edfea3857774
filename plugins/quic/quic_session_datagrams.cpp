// Datagrams of a connection: how large they may be, and their way through packets.
#include <algorithm>

#include "quic_session.hpp"

namespace ferry::quic {
namespace {

// What of a packet is no datagram: a short header with the longest id and packet number, the frame's type and length,
// and the tag of the cipher.
constexpr std::uint64_t header_bytes = 1 + NGTCP2_MAX_CIDLEN + 4;
constexpr std::uint64_t frame_bytes = 1 + 2;
constexpr std::uint64_t tag_bytes = 16;
constexpr std::uint64_t packet_overhead = header_bytes + frame_bytes + tag_bytes;
// One packet takes so many at most, so that streams get their turn.
constexpr int max_per_packet = 16;

}  // namespace

/// Read by any thread: what the engine found last.
void Session::note_max_datagram() noexcept {
  const ngtcp2_transport_params* theirs = ngtcp2_conn_get_remote_transport_params(conn_);
  const std::uint64_t frame = theirs == nullptr ? 0 : theirs->max_datagram_frame_size;
  const std::uint64_t accepted = frame > frame_bytes ? frame - frame_bytes : 0;
  const std::uint64_t payload =
      packet_size_.is_ours() ? packet_size_.current() : ngtcp2_conn_get_path_max_tx_udp_payload_size(conn_);
  max_datagram_.store(std::min(accepted, payload - packet_overhead), std::memory_order_relaxed);
  const std::uint64_t smallest = NGTCP2_MAX_UDP_PAYLOAD_SIZE - packet_overhead;
  max_datagram_of_any_path_.store(std::min(accepted, smallest), std::memory_order_relaxed);
}

std::shared_ptr<Datagrams> Session::datagrams() {
  if (datagrams_ == nullptr) {
    datagrams_ = std::make_shared<Datagrams>(engine_, settings_->datagrams, settings_->datagram_drop);
  }
  return datagrams_;
}

std::shared_ptr<Datagrams> Session::open_datagrams() {
  if (std::exchange(datagrams_open_, true)) return nullptr;
  handle_made();
  return datagrams();
}

/// They can be opened again; what has come meanwhile is then there.
void Session::close_datagrams(bool abort) noexcept {
  datagrams_open_ = false;
  datagrams_.reset();
  handle_closed(nullptr, abort);
}

void Session::datagram_arrived(std::span<const std::uint8_t> datagram) {
  ++counters_.datagrams_received;
  datagrams()->arrived(datagram);
}

/// Puts datagrams into the packet that is being built. Returns NGTCP2_ERR_WRITE_MORE when it can take more, be it that
/// there were none; else what writing a packet returned.
ngtcp2_ssize Session::write_datagrams(std::span<std::uint8_t> out, ngtcp2_path& path, ngtcp2_pkt_info& info,
                                      std::uint64_t now) {
  const std::uint64_t most = max_datagram_.load(std::memory_order_relaxed);
  for (int count = 0; count < max_per_packet;) {
    const std::span<const std::uint8_t> datagram = datagrams_->next();
    if (datagram.empty()) break;
    if (datagram.size() > most) {  // the path takes less by now: lost as in a narrower network
      datagrams_->taken();
      continue;
    }
    const ngtcp2_vec piece{const_cast<std::uint8_t*>(datagram.data()), datagram.size()};
    int accepted = 0;
    const ngtcp2_ssize size = ngtcp2_conn_writev_datagram(conn_, &path, &info, out.data(), out.size(), &accepted,
                                                          NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0, &piece, 1, now);
    if (accepted != 0) {
      datagrams_->taken();
      ++counters_.datagrams_sent;
      ++count;
    }
    if (size != NGTCP2_ERR_WRITE_MORE) return size;
  }
  return NGTCP2_ERR_WRITE_MORE;
}

}  // namespace ferry::quic

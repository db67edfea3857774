// What differs between ngtcp2 0.12 (Debian 12) and 1.x, in one place: closing errors, path facts, and what the crypto
// helper is called. Everything else of Ferry uses ngtcp2 only as both have it.
#pragma once

#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "quic_frames.hpp"
#include "quic_options.hpp"
#include "quic_socket.hpp"

namespace ferry::quic {

/// Why a connection was or is to be closed: the content of a CONNECTION_CLOSE frame.
struct CloseReason {
  enum class Kind : std::uint8_t { transport, application };
  Kind kind = Kind::application;
  std::uint64_t code = 0;
  std::string text;

  bool is_crypto() const noexcept { return kind == Kind::transport && (code & ~0xffull) == NGTCP2_CRYPTO_ERROR; }
  std::uint8_t alert() const noexcept { return static_cast<std::uint8_t>(code); }
};

/// What the peer said in its CONNECTION_CLOSE.
CloseReason reason_of_peer(ngtcp2_conn* conn);
/// What to tell the peer after ngtcp2 returned `error`.
CloseReason reason_of_error(ngtcp2_conn* conn, int error);
/// Writes a CONNECTION_CLOSE packet; returns its size, 0 when there is none to send.
std::size_t write_close(ngtcp2_conn* conn, const CloseReason& reason, std::span<std::uint8_t> out, std::uint64_t now);

/// As ngtcp2_conn_read_pkt, and appends the peer's stops, which ngtcp2 0.12 has no callback for.
int read_packet(ngtcp2_conn* conn, const ngtcp2_path& path, std::uint8_t ecn, std::span<const std::uint8_t> bytes,
                std::uint64_t now, std::vector<StopSending>& stops) noexcept;

/// A path between two addresses, which must outlive it.
ngtcp2_path path_between(const SocketAddress& local, const SocketAddress& remote) noexcept;
SocketAddress address_of(const ngtcp2_addr& address) noexcept;

/// What the server lets a client send, to be kept with its ticket: early data relies on it (RFC 9000, section 7.4.1).
std::string early_limits_of(ngtcp2_conn* conn);
/// Before the first packet. Early data, which is sent while the handshake is under way, is then stream frames and
/// nothing else: ngtcp2 0.12 aborts the process over a 0-RTT packet with less than three bytes in it, which a PING or a
/// MAX_STREAMS may be (its issue 901). It makes no PING for a time-out there, but it does for keep-alive, so that must
/// not be set before the handshake has completed, and windows and limits must not be raised.
void use_early_limits(ngtcp2_conn* conn, const std::string& limits) noexcept;
/// Whether a packet may be asked for with early data in it. Without the room, ngtcp2 0.12 would write an Initial that
/// relies on the early data for its padding, leave that out, and so send what the server must drop.
bool has_room_for_early_data(ngtcp2_conn* conn) noexcept;

ngtcp2_cc_algo algorithm_of(CongestionControl cc) noexcept;

struct PathFigures {
  std::uint64_t latest_rtt_ns, smoothed_rtt_ns, min_rtt_ns, rtt_variation_ns, cwnd, ssthresh, bytes_in_flight,
      max_payload, delivery_rate, timeouts_in_a_row;
  bool has_rtt;  ///< a round trip was measured, rather than assumed
};
PathFigures figures_of(ngtcp2_conn* conn) noexcept;

/// All connection ids under which packets for `conn` may come.
std::vector<std::string> connection_ids(ngtcp2_conn* conn);
inline std::string text_of(const ngtcp2_cid& id) { return {reinterpret_cast<const char*>(id.data), id.datalen}; }
ngtcp2_cid random_id(std::size_t size) noexcept;

/// Callbacks that are ngtcp2's own; the caller adds its events.
ngtcp2_callbacks crypto_callbacks(bool server) noexcept;

}  // namespace ferry::quic

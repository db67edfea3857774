#include "quic_ngtcp2.hpp"

#include <cstring>
#include <new>

#include "quic_engine.hpp"

namespace ferry::quic {
namespace {

// Where decrypt leaves what it finds while read_packet runs; ngtcp2 gives it nothing to tell connections apart by.
// Aligned because clang 14's LeakSanitizer, at a program's end, takes the 16 bytes before a thread's block of such
// variables for a header where the block begins 16 bytes into a page, and crashes.
alignas(64) thread_local std::vector<StopSending>* current_stops = nullptr;

struct EarlyLimits {
  std::uint64_t streams, window_of_ours, window_of_theirs, window, connection_ids, datagram, payload;
};

int decrypt(std::uint8_t* out, const ngtcp2_crypto_aead* aead, const ngtcp2_crypto_aead_ctx* context,
            const std::uint8_t* bytes, std::size_t size, const std::uint8_t* nonce, std::size_t nonce_size,
            const std::uint8_t* header, std::size_t header_size) noexcept {
  const int result = ngtcp2_crypto_decrypt_cb(out, aead, context, bytes, size, nonce, nonce_size, header, header_size);
  const bool is_short = header_size > 0 && (header[0] & 0x80) == 0;
  if (result != 0 || !is_short || current_stops == nullptr || size <= aead->max_overhead) return result;
  try {
    find_stops({out, size - aead->max_overhead}, *current_stops);
  } catch (const std::bad_alloc&) {
    return NGTCP2_ERR_CALLBACK_FAILURE;
  }
  return 0;
}

}  // namespace

CloseReason reason_of_peer(ngtcp2_conn* conn) {
  ngtcp2_connection_close_error error;
  ngtcp2_conn_get_connection_close_error(conn, &error);
  CloseReason out;
  out.kind = error.type == NGTCP2_CONNECTION_CLOSE_ERROR_CODE_TYPE_APPLICATION ? CloseReason::Kind::application
                                                                               : CloseReason::Kind::transport;
  out.code = error.error_code;
  for (std::size_t i = 0; i < error.reasonlen && i < 200; ++i) {  // the peer's text: kept printable and short
    const auto c = static_cast<char>(error.reason[i]);
    out.text += c >= 0x20 && c < 0x7f ? c : '?';
  }
  return out;
}

CloseReason reason_of_error(ngtcp2_conn* conn, int error) {
  const std::uint8_t alert = ngtcp2_conn_get_tls_alert(conn);
  if (alert != 0) return {CloseReason::Kind::transport, std::uint64_t{NGTCP2_CRYPTO_ERROR} | alert, {}};
  return {CloseReason::Kind::transport, ngtcp2_err_infer_quic_transport_error_code(error), ngtcp2_strerror(error)};
}

std::size_t write_close(ngtcp2_conn* conn, const CloseReason& reason, std::span<std::uint8_t> out, std::uint64_t now) {
  ngtcp2_connection_close_error error;
  const auto* text = reinterpret_cast<const std::uint8_t*>(reason.text.data());
  if (reason.kind == CloseReason::Kind::application) {
    ngtcp2_connection_close_error_set_application_error(&error, reason.code, text, reason.text.size());
  } else {
    ngtcp2_connection_close_error_set_transport_error(&error, reason.code, text, reason.text.size());
  }
  const ngtcp2_ssize size =
      ngtcp2_conn_write_connection_close(conn, nullptr, nullptr, out.data(), out.size(), &error, now);
  return size > 0 ? static_cast<std::size_t>(size) : 0;
}

int read_packet(ngtcp2_conn* conn, const ngtcp2_path& path, std::uint8_t ecn, std::span<const std::uint8_t> bytes,
                std::uint64_t now, std::vector<StopSending>& stops) noexcept {
  ngtcp2_pkt_info info{};
  info.ecn = ecn;
  current_stops = &stops;
  const int result = ngtcp2_conn_read_pkt(conn, &path, &info, bytes.data(), bytes.size(), now);
  current_stops = nullptr;
  return result;
}

ngtcp2_path path_between(const SocketAddress& local, const SocketAddress& remote) noexcept {
  ngtcp2_path out{};
  out.local = {const_cast<sockaddr*>(local.get()), local.size};
  out.remote = {const_cast<sockaddr*>(remote.get()), remote.size};
  return out;
}

SocketAddress address_of(const ngtcp2_addr& address) noexcept {
  SocketAddress out;
  std::memcpy(&out.storage, address.addr, address.addrlen);
  out.size = address.addrlen;
  return out;
}

std::string early_limits_of(ngtcp2_conn* conn) {
  const ngtcp2_transport_params* theirs = ngtcp2_conn_get_remote_transport_params(conn);
  if (theirs == nullptr) return {};
  EarlyLimits out{};
  out.streams = theirs->initial_max_streams_bidi;
  out.window_of_ours = theirs->initial_max_stream_data_bidi_remote;
  out.window_of_theirs = theirs->initial_max_stream_data_bidi_local;
  out.window = theirs->initial_max_data;
  out.connection_ids = theirs->active_connection_id_limit;
  out.datagram = theirs->max_datagram_frame_size;
  out.payload = theirs->max_udp_payload_size;
  return {reinterpret_cast<const char*>(&out), sizeof(out)};
}

void use_early_limits(ngtcp2_conn* conn, const std::string& limits) noexcept {
  EarlyLimits known{};
  if (limits.size() != sizeof(known)) return;
  std::memcpy(&known, limits.data(), sizeof(known));
  ngtcp2_transport_params params{};
  params.initial_max_streams_bidi = known.streams;
  params.initial_max_stream_data_bidi_remote = known.window_of_ours;
  params.initial_max_stream_data_bidi_local = known.window_of_theirs;
  params.initial_max_data = known.window;
  params.active_connection_id_limit = known.connection_ids;
  params.max_datagram_frame_size = known.datagram;
  params.max_udp_payload_size = known.payload;
  ngtcp2_conn_set_early_remote_transport_params(conn, &params);
}

bool has_room_for_early_data(ngtcp2_conn* conn) noexcept {
  return ngtcp2_conn_get_cwnd_left(conn) >= std::uint64_t{2} * NGTCP2_MAX_UDP_PAYLOAD_SIZE;
}

ngtcp2_cc_algo algorithm_of(CongestionControl cc) noexcept {
  switch (cc) {
    case CongestionControl::reno:
      return NGTCP2_CC_ALGO_RENO;
    case CongestionControl::bbr:
      return NGTCP2_CC_ALGO_BBR;
    case CongestionControl::bbr2:
      return NGTCP2_CC_ALGO_BBR2;
    case CongestionControl::cubic:
      break;
  }
  return NGTCP2_CC_ALGO_CUBIC;
}

PathFigures figures_of(ngtcp2_conn* conn) noexcept {
  ngtcp2_conn_stat stat;
  ngtcp2_conn_get_conn_stat(conn, &stat);
  return {stat.latest_rtt,
          stat.smoothed_rtt,
          stat.min_rtt,
          stat.rttvar,
          stat.cwnd,
          stat.ssthresh,
          stat.bytes_in_flight,
          ngtcp2_conn_get_path_max_tx_udp_payload_size(conn),
          stat.delivery_rate_sec,
          stat.pto_count,
          stat.first_rtt_sample_ts != UINT64_MAX};
}

std::vector<std::string> connection_ids(ngtcp2_conn* conn) {
  std::vector<ngtcp2_cid> ids(ngtcp2_conn_get_num_scid(conn));
  ngtcp2_conn_get_scid(conn, ids.data());
  std::vector<std::string> out;
  out.reserve(ids.size());
  for (const ngtcp2_cid& id : ids) out.push_back(text_of(id));
  return out;
}

ngtcp2_cid random_id(std::size_t size) noexcept {
  ngtcp2_cid out{};
  out.datalen = size;
  fill_random(out.data, size);
  return out;
}

ngtcp2_callbacks crypto_callbacks(bool server) noexcept {
  ngtcp2_callbacks out{};
  if (server) {
    out.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
  } else {
    out.client_initial = ngtcp2_crypto_client_initial_cb;
    out.recv_retry = ngtcp2_crypto_recv_retry_cb;
  }
  out.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
  out.encrypt = ngtcp2_crypto_encrypt_cb;
  out.decrypt = decrypt;
  out.hp_mask = ngtcp2_crypto_hp_mask_cb;
  out.update_key = ngtcp2_crypto_update_key_cb;
  out.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
  out.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
  out.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
  out.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
  out.rand = [](std::uint8_t* bytes, std::size_t size, const ngtcp2_rand_ctx*) { fill_random(bytes, size); };
  return out;
}

}  // namespace ferry::quic

#include "connection.hpp"

#include <gnutls/crypto.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <string>
#include <system_error>

namespace ferry::bare_quic {
namespace {

constexpr std::size_t connection_id_bytes = 8;
constexpr std::uint64_t stream_window_bytes = 4u << 20;
constexpr std::uint64_t connection_window_bytes = 6u << 20;
constexpr std::size_t source_bytes = 1u << 20;
constexpr std::size_t max_burst_bytes = 65'507;  // the largest UDP datagram
constexpr std::size_t max_burst_packets = 64;    // UDP_MAX_SEGMENTS

const std::vector<std::uint8_t> source(source_bytes, 'm');

void check(int result, const char* call) {
  if (result != 0) throw std::runtime_error(std::string(call) + ": " + ngtcp2_strerror(result));
}

void fill_random(std::uint8_t* data, std::size_t size) { gnutls_rnd(GNUTLS_RND_NONCE, data, size); }

ngtcp2_cid random_id() {
  ngtcp2_cid id{};
  id.datalen = connection_id_bytes;
  fill_random(id.data, id.datalen);
  return id;
}

ngtcp2_settings settings(std::uint64_t now) {
  ngtcp2_settings values;
  ngtcp2_settings_default(&values);
  values.initial_ts = now;
  values.handshake_timeout = 10 * NGTCP2_SECONDS;
  return values;
}

ngtcp2_transport_params parameters() {
  ngtcp2_transport_params values;
  ngtcp2_transport_params_default(&values);
  values.initial_max_stream_data_bidi_local = stream_window_bytes;
  values.initial_max_stream_data_bidi_remote = stream_window_bytes;
  values.initial_max_data = connection_window_bytes;
  values.initial_max_streams_bidi = 1;
  return values;
}

Connection* self(void* user_data) { return static_cast<Connection*>(user_data); }

}  // namespace

std::uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

/// Packets of one size, the last one perhaps smaller, that leave as one system call.
struct Connection::Burst {
  std::array<std::uint8_t, max_burst_bytes> data;
  std::size_t size = 0;
  std::size_t packet_size = 0;
};

ngtcp2_callbacks Connection::callbacks(bool server) {
  ngtcp2_callbacks table{};
  if (server) {
    table.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
  } else {
    table.client_initial = ngtcp2_crypto_client_initial_cb;
    table.recv_retry = ngtcp2_crypto_recv_retry_cb;
  }
  table.recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb;
  table.encrypt = ngtcp2_crypto_encrypt_cb;
  table.decrypt = ngtcp2_crypto_decrypt_cb;
  table.hp_mask = ngtcp2_crypto_hp_mask_cb;
  table.update_key = ngtcp2_crypto_update_key_cb;
  table.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
  table.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
  table.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
  table.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
  table.rand = [](std::uint8_t* to, std::size_t size, const ngtcp2_rand_ctx*) { fill_random(to, size); };
  table.get_new_connection_id = [](ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token, std::size_t size, void*) {
    id->datalen = size;
    fill_random(id->data, size);
    fill_random(token, NGTCP2_STATELESS_RESET_TOKENLEN);
    return 0;
  };
  table.handshake_confirmed = [](ngtcp2_conn*, void* user) {
    self(user)->confirmed_ = true;
    return 0;
  };
  table.recv_stream_data = [](ngtcp2_conn*, std::uint32_t, std::int64_t stream, std::uint64_t, const std::uint8_t* data,
                              std::size_t size, void* user, void*) { return self(user)->on_data(stream, data, size); };
  return table;
}

Connection::Connection(int socket, const sockaddr_in& local, const sockaddr_in& remote, const Credentials& credentials,
                       const ngtcp2_pkt_hd* initial)
    : socket_(socket), local_(local), remote_(remote), server_(initial != nullptr) {
  reference_.get_conn = [](ngtcp2_crypto_conn_ref* reference) { return self(reference->user_data)->quic_.get(); };
  reference_.user_data = this;
  const ngtcp2_callbacks table = callbacks(server_);
  const ngtcp2_settings set = settings(now_ns());
  ngtcp2_transport_params params = parameters();
  const ngtcp2_cid ours = random_id();
  const ngtcp2_path where = path();
  ngtcp2_conn* raw = nullptr;
  if (server_) {
    params.original_dcid = initial->dcid;
    check(ngtcp2_conn_server_new(&raw, &initial->scid, &ours, &where, initial->version, &table, &set, &params, nullptr,
                                 this),
          "ngtcp2_conn_server_new");
  } else {
    const ngtcp2_cid theirs = random_id();
    check(
        ngtcp2_conn_client_new(&raw, &theirs, &ours, &where, NGTCP2_PROTO_VER_V1, &table, &set, &params, nullptr, this),
        "ngtcp2_conn_client_new");
  }
  quic_.reset(raw);
  session_ = credentials.make_session(reference_);
  ngtcp2_conn_set_tls_native_handle(raw, session_.get());
}

ngtcp2_path Connection::path() {
  const auto address = [](sockaddr_in& in) { return ngtcp2_addr{reinterpret_cast<ngtcp2_sockaddr*>(&in), sizeof(in)}; };
  return {address(local_), address(remote_), nullptr};
}

void Connection::open_stream() {
  check(ngtcp2_conn_open_bidi_stream(quic_.get(), &stream_, nullptr), "ngtcp2_conn_open_bidi_stream");
}

int Connection::on_data(std::int64_t stream, const std::uint8_t* data, std::size_t size) {
  stream_ = stream;
  received_ += size;
  ngtcp2_conn_extend_max_stream_offset(quic_.get(), stream, size);
  ngtcp2_conn_extend_max_offset(quic_.get(), size);
  while (sink_ != nullptr && size > 0) {
    const std::size_t part = std::min(size, sink_->size() - sink_at_);
    std::memcpy(sink_->data() + sink_at_, data, part);
    sink_at_ = (sink_at_ + part) % sink_->size();
    data += part;
    size -= part;
  }
  return 0;
}

void Connection::read_packet(const std::uint8_t* packet, std::size_t size) {
  const ngtcp2_path where = path();
  const ngtcp2_pkt_info info{};
  const int result = ngtcp2_conn_read_pkt(quic_.get(), &where, &info, packet, size, now_ns());
  if (result != NGTCP2_ERR_DRAINING) check(result, "ngtcp2_conn_read_pkt");
}

void Connection::handle_expiry() {
  const std::uint64_t now = now_ns();
  if (expiry() <= now) check(ngtcp2_conn_handle_expiry(quic_.get(), now), "ngtcp2_conn_handle_expiry");
}

ngtcp2_ssize Connection::write_packet(std::uint8_t* to, std::size_t room, std::uint64_t now) {
  const std::size_t at = sent_ % source.size();
  const std::size_t size = std::min<std::uint64_t>(queued_ - sent_, source.size() - at);
  const ngtcp2_vec part{const_cast<std::uint8_t*>(source.data()) + at, size};
  ngtcp2_ssize taken = -1;
  ngtcp2_ssize written = ngtcp2_conn_writev_stream(quic_.get(), nullptr, nullptr, to, room, &taken, 0,
                                                   size > 0 ? stream_ : -1, &part, size > 0 ? 1 : 0, now);
  if (taken > 0) sent_ += static_cast<std::uint64_t>(taken);
  if (written == NGTCP2_ERR_STREAM_DATA_BLOCKED)
    written = ngtcp2_conn_write_pkt(quic_.get(), nullptr, nullptr, to, room, now);
  if (written < 0) check(static_cast<int>(written), "ngtcp2_conn_writev_stream");
  return written;
}

void Connection::write_packets() {
  const std::uint64_t now = now_ns();
  const std::size_t room = ngtcp2_conn_get_max_tx_udp_payload_size(quic_.get());
  std::size_t left = ngtcp2_conn_get_send_quantum(quic_.get());
  Burst burst;
  for (bool more = true; more;) {
    burst.size = burst.packet_size = 0;
    std::size_t packets = 0;
    while (packets < max_burst_packets && burst.size + room <= burst.data.size() && burst.size < left) {
      std::uint8_t* to = burst.data.data() + burst.size;
      const auto written = static_cast<std::size_t>(write_packet(to, room, now));
      more = written > 0;
      if (!more) break;
      if (packets > 0 && written > burst.packet_size) {  // a probe of the path's MTU
        send_burst(burst);
        std::memmove(burst.data.data(), to, written);
        burst.size = packets = 0;
      }
      burst.size += written;
      if (packets++ == 0) burst.packet_size = written;
      if (written < burst.packet_size) break;
    }
    send_burst(burst);
    left -= std::min(left, burst.size);
    more = more && left > 0;
  }
  // Before the first sample of the round-trip time pacing assumes 333 ms, and holds the handshake's reply back.
  ngtcp2_conn_stat statistics;
  ngtcp2_conn_get_conn_stat(quic_.get(), &statistics);
  if (statistics.first_rtt_sample_ts != UINT64_MAX) ngtcp2_conn_update_pkt_tx_time(quic_.get(), now);
}

void Connection::send_burst(const Burst& burst) const {
  if (burst.size == 0) return;
  iovec part{const_cast<std::uint8_t*>(burst.data.data()), burst.size};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> control{};
  sockaddr_in to = remote_;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (server_) {
    message.msg_name = &to;
    message.msg_namelen = sizeof(to);
  }
  if (burst.size > burst.packet_size) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto segment = static_cast<std::uint16_t>(burst.packet_size);
    std::memcpy(CMSG_DATA(header), &segment, sizeof(segment));
  }
  while (::sendmsg(socket_, &message, 0) < 0) {
    if (errno == ECONNREFUSED) return;  // as in Endpoint::receive
    if (errno != EAGAIN) throw std::system_error(errno, std::generic_category(), "sendmsg");
    pollfd writable{socket_, POLLOUT, 0};
    ::poll(&writable, 1, -1);
  }
}

void Connection::close() {
  Burst burst;
  ngtcp2_connection_close_error reason;
  ngtcp2_connection_close_error_default(&reason);
  const ngtcp2_ssize written = ngtcp2_conn_write_connection_close(quic_.get(), nullptr, nullptr, burst.data.data(),
                                                                  burst.data.size(), &reason, now_ns());
  if (written < 0) check(static_cast<int>(written), "ngtcp2_conn_write_connection_close");
  burst.size = burst.packet_size = static_cast<std::size_t>(written);
  send_burst(burst);
}

}  // namespace ferry::bare_quic

#include "quic_session.hpp"

#include <algorithm>
#include <cerrno>

#include "ferry/sdk/os_error.hpp"
#include "quic_acceptor.hpp"

namespace ferry::quic {
namespace {

using plugin::Failure;

// The first Initial's destination: at least 8 bytes (RFC 9000, section 7.2), unpredictable.
constexpr std::size_t initial_destination_bytes = 16;
// How long an acknowledgement may wait for company. Well below the usual 25 ms, because the end of a direction is
// acknowledged by itself and `finish` waits for that.
constexpr std::uint64_t max_ack_delay_ns = 5'000'000;
constexpr std::uint64_t active_connection_ids = 4;
constexpr std::uint64_t max_datagram_frame_bytes = 65535;  // any size that a packet may have (RFC 9221, section 3)
constexpr std::uint64_t linger_ns = 1'000'000'000;
constexpr std::uint64_t credit_steps_per_window = 8;

Session& session_of(void* user_data) noexcept { return *static_cast<Session*>(user_data); }

}  // namespace

/// What ngtcp2 calls while it reads a packet. An exception must not cross it.
struct Callbacks {
  static ngtcp2_callbacks table(bool server) {
    ngtcp2_callbacks out = crypto_callbacks(server);
    out.handshake_completed = handshake_completed;
    out.handshake_confirmed = handshake_confirmed;
    out.recv_stream_data = stream_data;
    out.acked_stream_data_offset = acknowledged;
    out.stream_open = stream_open;
    out.stream_close = stream_close;
    out.stream_reset = stream_reset;
    out.extend_max_stream_data = window_opened;
    out.extend_max_local_streams_bidi = more_streams;
    out.path_validation = path_validated;
    out.recv_stateless_reset = stateless_reset;
    out.recv_datagram = datagram;
    out.get_new_connection_id = new_connection_id;
    out.remove_connection_id = remove_connection_id;
    return out;
  }

 private:
  static int handshake_completed(ngtcp2_conn* conn, void* user_data) noexcept {
    Session& session = session_of(user_data);
    session.protocol_missing_ = !session.tls_->has_protocol();
    if (session.protocol_missing_) return 0;  // on_packet closes
    // Not before: see use_early_limits.
    if (session.settings_->keepalive_ns != 0) {
      ngtcp2_conn_set_keep_alive_timeout(conn, session.settings_->keepalive_ns);
    }
    if (session.server_) {
      session.tls_->send_ticket();
    } else {
      const bool is_open = session.sends_early_ ? session.end_early() : session.open_primary();
      if (!is_open) return NGTCP2_ERR_CALLBACK_FAILURE;
      // A client that was asked for a certificate does not know yet what the server thinks of it.
      if (session.tls_->was_asked_for_certificate()) return 0;
    }
    session.established();
    return 0;
  }

  static int handshake_confirmed(ngtcp2_conn*, void* user_data) noexcept {
    Session& session = session_of(user_data);
    session.confirmed_ = true;
    session.tell_openers();
    if (!session.protocol_missing_) session.established();
    return 0;
  }

  static int stream_data(ngtcp2_conn* conn, std::uint32_t flags, std::int64_t id, std::uint64_t,
                         const std::uint8_t* data, std::size_t size, void* user_data, void* stream_user_data) noexcept {
    auto* stream = static_cast<Stream*>(stream_user_data);
    if (stream == nullptr) {  // of a stream that nobody wanted
      ngtcp2_conn_extend_max_offset(conn, size);
      return 0;
    }
    try {
      stream->arrived({data, size});
      session_of(user_data).engine_.tell_later(*stream);
    } catch (const std::bad_alloc&) {
      return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    if (stream->discards_input()) {
      const std::uint64_t credit = stream->take_credit();
      (void)ngtcp2_conn_extend_max_stream_offset(conn, id, credit);
      ngtcp2_conn_extend_max_offset(conn, credit);
    }
    if ((flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0) stream->end_reading(Direction::ended);
    return 0;
  }

  static int acknowledged(ngtcp2_conn* conn, std::int64_t id, std::uint64_t offset, std::uint64_t size, void* user_data,
                          void* stream_user_data) noexcept {
    auto* stream = static_cast<Stream*>(stream_user_data);
    if (stream == nullptr) return 0;
    if (size > 0) {
      Session& session = session_of(user_data);
      stream->acknowledged(size);
      session.engine_.tell_later(*stream);
      if (session.packet_size_.probes(id)) {
        session.packet_size_.acknowledged({id, offset + size, ngtcp2_conn_get_stream_loss_count(conn, id)});
      }
    } else {
      stream->fin_acknowledged();  // only the end of the stream is reported without bytes
    }
    return 0;
  }

  static int stream_open(ngtcp2_conn*, std::int64_t id, void* user_data) noexcept {
    try {
      return session_of(user_data).peer_opened(id) ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
    } catch (const std::bad_alloc&) {
      return NGTCP2_ERR_CALLBACK_FAILURE;
    }
  }

  static int stream_close(ngtcp2_conn* conn, std::uint32_t, std::int64_t id, std::uint64_t, void* user_data,
                          void* stream_user_data) noexcept {
    Session& session = session_of(user_data);
    session.losses_of_closed_ += ngtcp2_conn_get_stream_loss_count(conn, id);
    session.packet_size_.ended(id);
    auto* stream = static_cast<Stream*>(stream_user_data);
    if (stream == nullptr) {
      if (session.is_peers(id)) ngtcp2_conn_extend_max_streams_bidi(conn, 1);
      return 0;
    }
    stream->closed = true;
    if (stream->all_acknowledged()) stream->fin_acknowledged();
    stream->end_reading(Direction::reset);  // unless it has ended in order
    stream->end_writing();
    if (stream->released) session.retire(*stream);
    return 0;
  }

  static int stream_reset(ngtcp2_conn*, std::int64_t id, std::uint64_t, std::uint64_t code, void* user_data,
                          void* stream_user_data) noexcept {
    auto* stream = static_cast<Stream*>(stream_user_data);
    if (stream == nullptr) {
      // ngtcp2 0.12.1 opens no stream whose reset is the first it hears of it, and takes it for over in both
      // directions. Of further streams, nobody has heard.
      Session& session = session_of(user_data);
      if (id != 0 || !session.server_ || session.primary_->id >= 0) return 0;
      stream = session.primary_.get();
      stream->note_code(FERRY_WRITE, code);
      stream->end_writing();
    }
    stream->note_code(FERRY_READ, code);
    stream->end_reading(Direction::reset);
    return 0;
  }

  static int more_streams(ngtcp2_conn*, std::uint64_t, void* user_data) noexcept {
    session_of(user_data).tell_openers();
    return 0;
  }

  static int window_opened(ngtcp2_conn*, std::int64_t, std::uint64_t, void* user_data,
                           void* stream_user_data) noexcept {
    if (auto* stream = static_cast<Stream*>(stream_user_data)) session_of(user_data).queue(*stream);
    return 0;
  }

  static int datagram(ngtcp2_conn*, std::uint32_t, const std::uint8_t* data, std::size_t size,
                      void* user_data) noexcept {
    try {
      session_of(user_data).datagram_arrived({data, size});
    } catch (const std::bad_alloc&) {  // lost, as it might have been before
    }
    return 0;
  }

  static int path_validated(ngtcp2_conn*, std::uint32_t, const ngtcp2_path* path, ngtcp2_path_validation_result result,
                            void* user_data) noexcept {
    session_of(user_data).path_decided(*path, result == NGTCP2_PATH_VALIDATION_RESULT_SUCCESS);
    return 0;
  }

  static int stateless_reset(ngtcp2_conn*, const ngtcp2_pkt_stateless_reset*, void* user_data) noexcept {
    session_of(user_data).forgotten_by_peer_ = true;
    return 0;
  }

  static int new_connection_id(ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token, std::size_t size,
                               void* user_data) noexcept {
    Session& session = session_of(user_data);
    *id = random_id(size);
    const auto& secret = session.reset_secret();
    if (ngtcp2_crypto_generate_stateless_reset_token(token, secret.data(), secret.size(), id) != 0) {
      return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    session.routes_.push_back(text_of(*id));
    session.engine_.route(session.routes_.back(), session);
    return 0;
  }

  static int remove_connection_id(ngtcp2_conn*, const ngtcp2_cid* id, void* user_data) noexcept {
    Session& session = session_of(user_data);
    const std::string text = text_of(*id);
    std::erase(session.routes_, text);
    session.engine_.unroute(text);
    return 0;
  }
};

Session::Session(Engine& engine, std::shared_ptr<const Settings> settings, bool server)
    : engine_(engine), settings_(std::move(settings)), server_(server) {}

Session::~Session() {
  if (conn_ != nullptr) ngtcp2_conn_del(conn_);
}

/// A client's listens nowhere after a restart, so any will do.
const std::array<std::uint8_t, 32>& Session::reset_secret() const noexcept {
  return server_ ? tls_->credentials().reset_secret() : engine_.secret();
}

UdpSocket& Session::socket() noexcept { return server_ ? acceptor_->socket() : *own_socket_; }

void Session::make_tls(std::shared_ptr<const Credentials> credentials, PeerRules rules) {
  tls_ = std::make_unique<TlsSession>(std::move(credentials), *settings_, std::move(rules), server_);
}

ngtcp2_settings Session::transport_settings(std::uint64_t now, const ngtcp2_cid& original) {
  ngtcp2_settings out;
  ngtcp2_settings_default(&out);
  out.initial_ts = now;
  out.cc_algo = algorithm_of(settings_->cc);
  out.handshake_timeout = settings_->handshake_timeout_ns;
  out.max_tx_udp_payload_size = NGTCP2_MAX_PMTUD_UDP_PAYLOAD_SIZE;
  if (local_.is_local() && remote_.is_local()) {
    packet_size_.look();
    out.max_tx_udp_payload_size = PacketSize::large_bytes;
    out.no_tx_udp_payload_size_shaping = 1;
    out.no_pmtud = 1;
  }
  if (!settings_->qlog.empty()) {
    qlog_.emplace(settings_->qlog, original, server_);
    out.qlog.odcid = original;
    out.qlog.write = [](void* user_data, std::uint32_t, const void* data, std::size_t size) {
      if (auto& qlog = session_of(user_data).qlog_) qlog->write(data, size);
    };
  }
  return out;
}

ngtcp2_transport_params Session::transport_params() const noexcept {
  ngtcp2_transport_params out;
  ngtcp2_transport_params_default(&out);
  out.initial_max_stream_data_bidi_local = settings_->window;
  out.initial_max_stream_data_bidi_remote = settings_->window;
  out.initial_max_data = settings_->window;
  out.initial_max_streams_bidi = server_ ? 1 : 0;
  out.max_datagram_frame_size = settings_->datagrams > 0 ? max_datagram_frame_bytes : 0;
  out.max_idle_timeout = settings_->idle_timeout_ns;
  out.max_ack_delay = max_ack_delay_ns;
  out.active_connection_id_limit = active_connection_ids;
  out.grease_quic_bit = 1;
  return out;
}

void Session::add_to_engine() {
  primary_ = make_stream(-1, settings_->window / credit_steps_per_window);
  tls_->serve(conn_);
  ngtcp2_conn_set_tls_native_handle(conn_, tls_->get());
  engine_.add(shared_from_this());
  for (const std::string& id : routes_) engine_.route(id, *this);
}

void Session::connect(const SocketAddress& remote, const std::string& name,
                      std::shared_ptr<const Credentials> credentials) {
  PeerRules rules;
  rules.verify = !settings_->insecure;
  rules.check_chain = settings_->pins.empty() || !settings_->ca.empty();
  rules.name = name;
  rules.pins = settings_->pins;
  rules.address = remote.text();
  make_tls(std::move(credentials), std::move(rules));
  remote_ = remote;
  own_socket_ = std::make_unique<UdpSocket>(UdpSocket::connected(remote));
  local_ = own_socket_->local();
  const std::uint64_t now = now_ns();
  const ngtcp2_cid destination = random_id(initial_destination_bytes);
  const ngtcp2_cid source = random_id(connection_id_bytes);
  routes_.push_back(text_of(source));
  const ngtcp2_path path = path_between(local_, remote_);
  const ngtcp2_callbacks callbacks = Callbacks::table(false);
  const ngtcp2_settings settings = transport_settings(now, destination);
  open_qlog();
  const ngtcp2_transport_params params = transport_params();
  const int result = ngtcp2_conn_client_new(&conn_, &destination, &source, &path, NGTCP2_PROTO_VER_V1, &callbacks,
                                            &settings, &params, nullptr, this);
  if (result != 0) throw Failure(FERRY_INTERNAL, ngtcp2_strerror(result));
  if (!tls_->early_limits().empty()) use_early_limits(conn_, tls_->early_limits());
  add_to_engine();
  engine_.add_socket(*own_socket_, *this);
  flush(now);
  if (conn_ != nullptr && tls_->offers_early_data()) send_early();
}

void Session::accept(std::shared_ptr<Acceptor> acceptor, const Arrival& arrival,
                     std::shared_ptr<const Credentials> credentials) {
  PeerRules rules;
  rules.verify = !settings_->client_ca.empty() || !settings_->pins.empty();
  rules.check_chain = !settings_->client_ca.empty();
  rules.pins = settings_->pins;
  acceptor_ = std::move(acceptor);
  make_tls(std::move(credentials), std::move(rules));
  if (acceptor_->has_no_handshake()) tls_->send_in_halves();
  local_ = arrival.packet.local;
  remote_ = arrival.packet.remote;
  const std::uint64_t now = now_ns();
  const ngtcp2_cid source = random_id(connection_id_bytes);
  routes_ = {text_of(source), text_of(arrival.header.dcid)};
  const ngtcp2_path path = path_between(local_, remote_);
  const ngtcp2_callbacks callbacks = Callbacks::table(true);
  ngtcp2_settings settings = transport_settings(now, arrival.original_id.value_or(arrival.header.dcid));
  ngtcp2_transport_params params = transport_params();
  params.original_dcid = arrival.original_id.value_or(arrival.header.dcid);
  if (arrival.original_id) {
    open_qlog();  // a client that has returned a token is where it says
    params.retry_scid = arrival.header.dcid;
    params.retry_scid_present = 1;
    settings.token = arrival.header.token;
  }
  params.stateless_reset_token_present = 1;
  const auto& secret = reset_secret();
  (void)ngtcp2_crypto_generate_stateless_reset_token(params.stateless_reset_token, secret.data(), secret.size(),
                                                     &source);
  const int result = ngtcp2_conn_server_new(&conn_, &arrival.header.scid, &source, &path, arrival.header.version,
                                            &callbacks, &settings, &params, nullptr, this);
  if (result != 0) throw Failure(FERRY_INTERNAL, ngtcp2_strerror(result));
  add_to_engine();
}

void Session::open_qlog() noexcept {
  if (!qlog_) return;
  try {
    qlog_->open();
  } catch (const std::exception& problem) {  // it costs the log, and not the connection
    engine_.host().log(&engine_.host(), FERRY_LOG_WARNING, problem.what());
    qlog_.reset();
  }
}

void Session::established() {
  const Phase before = phase_.load(std::memory_order_relaxed);
  if (before != Phase::connecting && before != Phase::early) return;
  open_qlog();
  identity_ = {true,           tls_->peer_certificate(), tls_->protocol(),
               tls_->cipher(), tls_->is_resumed(),       tls_->has_taken_early_data()};
  note_max_datagram();
  phase_.store(Phase::established, std::memory_order_seq_cst);
  if (server_) acceptor_->proven(*this);
  if (server_ && before == Phase::connecting) acceptor_->hand_out(*this);
  if (before == Phase::early) {
    tell_openers();
  } else if (!server_) {
    primary_->readable().notify();
  }
}

void Session::on_packet(const Packet& packet, std::uint64_t now) {
  if (conn_ == nullptr) return repeat_close(now);
  const ngtcp2_path path = path_between(packet.local, packet.remote);
  ++counters_.packets_received;
  counters_.bytes_received += packet.bytes.size();
  std::vector<StopSending> stops;
  const int result = read_packet(conn_, path, packet.ecn, packet.bytes, now, stops);
  for (const StopSending& stop : stops) peer_stopped(stop);  // first: the packet may end the connection as well
  if (result != 0) return read_failed(result, now);
  if (tls_->is_halfway() && !send_flight_in_halves(now)) return;
  if (protocol_missing_) {
    const std::string text =
        server_ ? "the client names no application protocol" : "the server chose no application protocol";
    fail(FERRY_AUTHENTICATION, text + " (ALPN)");
    return close_with(
        {CloseReason::Kind::transport,
         NGTCP2_CRYPTO_ERROR | std::uint64_t{static_cast<std::uint8_t>(Alert::no_application_protocol)}, text},
        now);
  }
  if (any_blocked_) unblock();
  engine_.flush_later(*this);
}

/// False when the connection failed.
bool Session::send_flight_in_halves(std::uint64_t now) {
  bool ok = tls_->go_on();
  if (ok) {
    flush(now);
    if (conn_ == nullptr) return false;
    ok = tls_->go_on();
  }
  if (!ok) read_failed(NGTCP2_ERR_CRYPTO, now);
  return ok;
}

void Session::receive(ReceiveBuffers& buffers, std::uint64_t now) noexcept {
  if (conn_ == nullptr) return;
  PacketHandler& handler = server_ ? static_cast<PacketHandler&>(*acceptor_) : *this;
  (void)socket().receive(buffers, handler, now);
}

void Session::on_socket_error(int error) {
  // Once the handshake is through, ICMP could be anybody's (RFC 9000, section 14.2.1) and time-outs decide.
  if ((phase() != Phase::connecting && !sends_early_) || server_ || conn_ == nullptr) return;
  const ferry_status status = error == ECONNREFUSED ? FERRY_REFUSED : plugin::status_of_errno(error);
  fail(status, plugin::os_text(error) + (error == ECONNREFUSED ? "; nobody listens at this UDP port" : ""));
  forget_connection();
  leave_engine();
}

void Session::on_writable() { engine_.flush_later(*this); }

void Session::serve(Stream& stream) {
  if (conn_ == nullptr) return;
  if (const std::uint64_t credit = stream.take_credit(); credit > 0) {
    if (stream.id >= 0 && !stream.closed) (void)ngtcp2_conn_extend_max_stream_offset(conn_, stream.id, credit);
    ngtcp2_conn_extend_max_offset(conn_, credit);
  }
  queue(stream);
  engine_.flush_later(*this);
}

void Session::expired(std::uint64_t now) {
  if (conn_ == nullptr) return leave_engine();  // the closing or draining period is over
  if (now >= linger_until_) return close_with({}, now);
  if (now >= ngtcp2_conn_get_expiry(conn_)) {
    if (const int result = ngtcp2_conn_handle_expiry(conn_, now); result != 0) return read_failed(result, now);
    note_timeouts();
  }
  engine_.flush_later(*this);
}

void Session::handle_closed(Stream* stream, bool abort) noexcept {
  if (stream != nullptr) close_stream(*stream, abort);
  if (--handles_ > 0) return;
  if (conn_ != nullptr) end(abort);
  release_streams();
}

/// The last handle is gone: says good-bye, at once if that loses nothing.
void Session::end(bool abort) noexcept {
  const std::uint64_t now = now_ns();
  if (abort) return close_with({CloseReason::Kind::application, code_of_abort, "aborted"}, now);
  if (has_written_all() && (server_ || reads_on()) && phase() == Phase::established) {
    // Every byte of ours was acknowledged, but some peers (quic-go) drop what their application has not read yet when
    // the connection closes: they get the time to come to their own end.
    lingering_ = true;
    linger_until_ = now + linger_ns;
    return engine_.flush_later(*this);
  }
  // The last packets are written as if an acknowledgement that may wait had waited long enough: the peer's `finish`
  // counts on it, and nothing else will carry it.
  if (send_held() && !write_packets(now + max_ack_delay_ns)) return;
  close_with({}, now + max_ack_delay_ns);
}

/// A stream and its session keep each other alive until neither the engine nor a handle needs them.
void Session::release_streams() noexcept {
  if (handles_ <= 0 && has_left_) primary_.reset();
}

}  // namespace ferry::quic

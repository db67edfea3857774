// How a connection ends: refused, closed by us, closed by the peer, or silent for too long.
#include <algorithm>
#include <array>

#include "quic_acceptor.hpp"
#include "quic_session.hpp"

namespace ferry::quic {
namespace {

constexpr std::uint64_t closing_period_ptos = 3;  // RFC 9000, section 10.2
constexpr std::size_t close_packet_bytes = 1200;

ferry_status status_of(const CloseReason& reason) noexcept {
  if (reason.is_crypto()) return FERRY_AUTHENTICATION;
  if (reason.kind == CloseReason::Kind::transport && reason.code == NGTCP2_CONNECTION_REFUSED) return FERRY_REFUSED;
  return reason.kind == CloseReason::Kind::transport ? FERRY_PROTOCOL : FERRY_RESET;
}

std::string describe(const CloseReason& reason, bool from_server) {
  const std::string quoted = reason.text.empty() ? "" : ": \"" + reason.text + "\"";
  if (reason.is_crypto()) return describe_alert(reason.alert(), from_server) + quoted;
  if (reason.kind == CloseReason::Kind::transport && reason.code == NGTCP2_CONNECTION_REFUSED) {
    return "the server takes no connections" + quoted;
  }
  return std::string(from_server ? "the server" : "the client") + " closed the connection with " +
         (reason.kind == CloseReason::Kind::application ? "application" : "transport") + " error " +
         std::to_string(reason.code) + quoted;
}

}  // namespace

/// Records why the connection never came to be, and tells whoever waits for it. Of one that was, only the log hears:
/// for its users it is reset.
void Session::fail(ferry_status status, std::string text) {
  const Phase phase = phase_.load(std::memory_order_relaxed);
  const bool was_given_out = phase == Phase::established || phase == Phase::early;
  if (was_given_out && !parted_in_order_ && status != FERRY_INTERRUPTED) {
    const bool misbehaves = status == FERRY_PROTOCOL || status == FERRY_AUTHENTICATION;
    const bool is_news = phase == Phase::early && !server_;  // connect has not waited for it
    engine_.log(misbehaves ? FERRY_LOG_PEER_MISBEHAVING
                : is_news  ? FERRY_LOG_WARNING
                           : FERRY_LOG_DEBUG,
                "quic connection with " + remote_.text() + " ended" +
                    (phase == Phase::early ? " before its handshake was through: " : ": ") + text);
  }
  if (phase != Phase::connecting) return;
  failure_ = status;
  failure_text_ = std::move(text);
  phase_.store(Phase::failed, std::memory_order_seq_cst);
  if (server_) {
    acceptor_->refused(*this);
  } else {
    primary_->readable().notify();
  }
}

void Session::read_failed(int error, std::uint64_t now) {
  switch (error) {
    case NGTCP2_ERR_DRAINING:
      return peer_closed(now);
    case NGTCP2_ERR_CLOSING:
    case NGTCP2_ERR_DROP_CONN:
      fail(FERRY_PROTOCOL, "the peer's first packets make no sense");
      forget_connection();
      return leave_engine();
    case NGTCP2_ERR_IDLE_CLOSE:
      fail(FERRY_TIMED_OUT, phase() == Phase::established ? "the peer was silent for the whole idle_timeout"
                                                          : "the peer fell silent during the handshake");
      forget_connection();
      return leave_engine();
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
      fail(FERRY_TIMED_OUT,
           "the handshake took longer than handshake_timeout; is the address right, and UDP let through?");
      forget_connection();
      return leave_engine();
    case NGTCP2_ERR_RETRY:  // the beginning of what the client says has not come: it may prove its address meanwhile
      must_retry_ = true;
      fail(FERRY_PROTOCOL, "its first packet is missing");
      forget_connection();
      return leave_engine();
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION:
      fail(FERRY_UNSUPPORTED, "the server does not speak QUIC version 1");
      forget_connection();
      return leave_engine();
    default:
      break;
  }
  CloseReason reason = reason_of_error(conn_, error);
  if (!tls_->problem().empty()) {
    reason = {CloseReason::Kind::transport,
              NGTCP2_CRYPTO_ERROR | std::uint64_t{static_cast<std::uint8_t>(tls_->alert())}, tls_->told()};
    fail(FERRY_AUTHENTICATION, tls_->problem());
  } else if (reason.is_crypto()) {
    fail(FERRY_AUTHENTICATION, describe_own_alert(reason.alert(), server_));
  } else {
    fail(FERRY_PROTOCOL, std::string("the peer broke the protocol: ") + ngtcp2_strerror(error));
  }
  close_with(reason, now);
}

void Session::peer_closed(std::uint64_t now) {
  const CloseReason reason = reason_of_peer(conn_);
  parted_in_order_ = reason.code == 0 && !forgotten_by_peer_;
  if (reason.kind == CloseReason::Kind::application) {
    for (const auto& stream : streams_) {
      for (const ferry_interest direction : {ferry_interest{FERRY_READ}, ferry_interest{FERRY_WRITE}}) {
        if (stream->code(direction) < 0) stream->note_code(direction, reason.code);
      }
    }
  }
  if (forgotten_by_peer_) {
    fail(FERRY_RESET, "the peer knows nothing of it (stateless reset); was it restarted?");
  } else {
    fail(status_of(reason), describe(reason, !server_));
  }
  const std::uint64_t pto = ngtcp2_conn_get_pto(conn_);
  forget_connection();
  if (!server_ || acceptor_->is_idle()) return leave_engine();
  engine_.timers().set(*this, now + closing_period_ptos * pto);  // late packets are swallowed until then
}

void Session::close_with(const CloseReason& reason, std::uint64_t now) noexcept {
  fail(FERRY_INTERRUPTED, "given up");
  std::array<std::uint8_t, close_packet_bytes> packet;
  const std::size_t size = write_close(conn_, reason, packet, now);
  if (size > 0) {
    const ngtcp2_path* path = ngtcp2_conn_get_path(conn_);
    const SocketAddress local = address_of(path->local);
    const SocketAddress remote = address_of(path->remote);
    UdpSocket* const out = socket_at(local);
    close_packet_ = {local, remote, 0, size, {packet.begin(), packet.begin() + static_cast<std::ptrdiff_t>(size)}};
    if (out != nullptr) {
      (void)out->send(close_packet_.burst());
      (void)out->take_send_error();
    }
  }
  const std::uint64_t pto = ngtcp2_conn_get_pto(conn_);
  forget_connection();
  // A client's socket goes with it, so nobody can be confused by late packets; a listener's stays.
  if (!server_ || size == 0 || acceptor_->is_idle()) return leave_engine();
  engine_.timers().set(*this, now + closing_period_ptos * pto);
}

/// A peer that has missed our CONNECTION_CLOSE is told again, ever more rarely (RFC 9000, section 10.2.1).
void Session::repeat_close(std::uint64_t) {
  ++packets_after_close_;
  if (close_packet_.bytes.empty() || (packets_after_close_ & (packets_after_close_ - 1)) != 0 ||
      packets_after_close_ < 4)
    return;
  (void)socket().send(close_packet_.burst());
}

/// Frees what the connection holds; handles on its streams go on to read what had arrived.
void Session::forget_connection() noexcept {
  lingering_ = false;
  linger_until_ = no_deadline;
  sends_early_ = false;
  const Phase phase = phase_.load(std::memory_order_relaxed);
  if (phase == Phase::established || phase == Phase::early) {
    phase_.store(Phase::closed, std::memory_order_seq_cst);
    if (server_) acceptor_->ended(*this);
  }
  if (conn_ != nullptr) {
    (void)counters();
    (void)path_figures();
  }
  tell_openers();  // to find that there is nothing
  if (mover_ != nullptr) std::exchange(mover_, nullptr)->tell_news();
  if (peers_streams_ != nullptr) peers_streams_->end();
  if (datagrams_ != nullptr) {
    counters_.datagrams_dropped = datagrams_->dropped();
    datagrams_->end(parted_in_order_);
  }
  for (const auto& stream : streams_) {
    stream->closed = true;
    stream->end_writing();  // first: whoever has read of the reset finds it in both directions
    stream->end_reading(Direction::reset);
  }
  streams_.clear();
  ready_.clear();
  held_.clear();
  if (conn_ != nullptr) ngtcp2_conn_del(std::exchange(conn_, nullptr));
  tls_.reset();
}

void Session::leave_engine() noexcept {
  for (const std::string& id : routes_) engine_.unroute(id);
  routes_.clear();
  if (own_socket_ != nullptr) engine_.remove_socket(*own_socket_);
  drop_socket(next_socket_);
  drop_socket(previous_socket_);
  engine_.remove(*this);  // which keeps it until the engine is left
  has_left_ = true;
  release_streams();
}

void Session::give_way() noexcept {
  const auto self = shared_from_this();
  fail(
      FERRY_NO_RESOURCES,
      "as many handshakes as `backlog` allows were under way, and its was the oldest of the address with most of them");
  close_with({CloseReason::Kind::transport, NGTCP2_CONNECTION_REFUSED, "too many handshakes"}, now_ns());
  leave_engine();  // at once: whoever does this to a server makes it do it often
}

void Session::cut() noexcept {
  const auto self = shared_from_this();
  if (conn_ != nullptr) close_with({CloseReason::Kind::application, code_of_abort, "going away"}, now_ns());
  leave_engine();
}

}  // namespace ferry::quic

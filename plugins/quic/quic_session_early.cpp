// Early data (0-RTT): what a client sends in its first flight, with a ticket of an earlier session, and a server takes
// before it has heard more of the client.
//
// A client's `connect` then returns while the handshake is under way. What is written meanwhile are the primary
// stream's bytes, as early data; further streams, datagrams and moves wait for the handshake. A server that does not
// take early data loses nothing of it: the stream keeps what is not acknowledged, and begins anew. A server hands the
// connection out when the first of it has come: waiting for the client's next packet would gain nothing.
#include <utility>

#include "quic_acceptor.hpp"
#include "quic_session.hpp"

namespace ferry::quic {

void warn_of_early_data(const Engine& engine, const std::string& what) {
  engine.log(FERRY_LOG_WARNING,
             what +
                 ": early_data=true lets whoever is on the path send a client's first bytes again, or "
                 "later; use it for requests only that may come late and twice");
}

bool Session::open_primary() noexcept {
  if (ngtcp2_conn_open_bidi_stream(conn_, &primary_->id, primary_.get()) != 0) {
    primary_->id = -1;
    return false;
  }
  if (sends_early_) return true;
  primary_->must_announce = true;
  queue(*primary_);
  return true;
}

/// The first packet has left, and there are keys for early data. Nothing is announced, as otherwise: ngtcp2 0.12 cannot
/// send both an empty frame and another one at the stream's beginning again, and would stop in the middle of a Retry.
void Session::send_early() {
  if (const int error = own_socket_->take_pending_error(); error != 0) return on_socket_error(error);  // a closed port
  sends_early_ = true;
  sends_early_ = open_primary();
  if (!sends_early_) return;
  note_max_datagram();
  phase_.store(Phase::early, std::memory_order_seq_cst);
}

/// A server's primary stream is open. If that came as early data, the application gets it now.
void Session::receive_early() {
  if (phase() != Phase::connecting || !tls_->has_taken_early_data() || !tls_->has_protocol()) return;
  open_qlog();
  identity_ = {true, {}, tls_->protocol(), tls_->cipher(), true, true};
  note_max_datagram();
  phase_.store(Phase::early, std::memory_order_seq_cst);
  acceptor_->hand_out(*this);
}

/// The handshake has completed. Where the server has not taken the early data, ngtcp2 forgets it and every stream, and
/// all of it is sent as if nothing had been.
bool Session::end_early() noexcept {
  sends_early_ = false;
  if (!tls_->has_taken_early_data()) {
    if (ngtcp2_conn_early_data_rejected(conn_) != 0) return false;
    Stream& stream = *primary_;
    stream.begin_anew();
    if (std::exchange(stream.in_ready_list, false)) std::erase(ready_, &stream);
    if (!open_primary()) return false;
    engine_.tell_later(stream);
    if (stream.pending_reset >= 0) (void)reset_stream(stream, static_cast<std::uint64_t>(stream.pending_reset));
    if (stream.pending_stop >= 0) (void)stop_stream(stream, static_cast<std::uint64_t>(stream.pending_stop));
    if (stream.released) (void)ngtcp2_conn_shutdown_stream_read(conn_, stream.id, 0);
  } else if (!primary_->has_begun()) {
    primary_->must_announce = true;
    queue(*primary_);
  }
  if (peers_streams_ != nullptr) let_streams_in();
  return true;
}

}  // namespace ferry::quic

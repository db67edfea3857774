// One QUIC connection over ngtcp2, written the way a careful C programmer would who needs nothing else: one socket, one
// thread, one stream. UDP GSO and GRO, recvmmsg, pacing, path MTU discovery; no ECN, no migration, no peer's mistakes.
// What it sends stays in one constant buffer, so nothing is copied on that side; what it receives is copied to where
// the application wants it, as from any socket.
#pragma once

#include <netinet/in.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "tls.hpp"

namespace ferry::bare_quic {

struct ConnectionDeleter {
  void operator()(ngtcp2_conn* connection) const noexcept { ngtcp2_conn_del(connection); }
};

class Connection {
 public:
  /// @param socket   UDP, not blocking; a client's is connected
  /// @param initial  what a server was asked with; null makes a client
  Connection(int socket, const sockaddr_in& local, const sockaddr_in& remote, const Credentials& credentials,
             const ngtcp2_pkt_hd* initial);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool handshake_complete() const { return ngtcp2_conn_get_handshake_completed(quic_.get()) != 0; }
  /// A client's handshake as its server sees it (RFC 9001, section 4.1.2); with it come spare connection ids.
  bool handshake_confirmed() const { return confirmed_; }
  /// A client's only stream; call once after the handshake. A server's opens with its first byte.
  void open_stream();
  /// More bytes to send, whatever they hold.
  void send(std::uint64_t bytes) { queued_ += bytes; }
  /// Copies what comes to the start of `buffer` on, over and over.
  void receive_into(std::vector<std::uint8_t>& buffer) { sink_ = &buffer, sink_at_ = 0; }
  /// Waits for more bytes, some of which may be here already.
  void expect(std::uint64_t bytes) { expected_ += bytes; }
  bool received_all() const { return received_ >= expected_; }

  void read_packet(const std::uint8_t* packet, std::size_t size);
  /// Sends all that may be sent now.
  void write_packets();
  /// When write_packets() has to be called again, though nothing comes.
  std::uint64_t expiry() const { return ngtcp2_conn_get_expiry(quic_.get()); }
  void handle_expiry();
  /// Tells the peer that this is all.
  void close();
  bool closed() const { return ngtcp2_conn_is_in_draining_period(quic_.get()) != 0; }
  /// For what the bare loop has no use for.
  ngtcp2_conn* get() const { return quic_.get(); }
  /// Whether a packet is of this client.
  bool is_from(const ngtcp2_cid& client) const {
    return ngtcp2_cid_eq(&client, ngtcp2_conn_get_dcid(quic_.get())) != 0;
  }

 private:
  struct Burst;
  ngtcp2_path path();
  ngtcp2_ssize write_packet(std::uint8_t* to, std::size_t room, std::uint64_t now);
  void send_burst(const Burst& burst) const;
  int on_data(std::int64_t stream, const std::uint8_t* data, std::size_t size);
  static ngtcp2_callbacks callbacks(bool server);

  int socket_;
  sockaddr_in local_;
  sockaddr_in remote_;
  bool server_;
  ngtcp2_crypto_conn_ref reference_{};
  std::unique_ptr<ngtcp2_conn, ConnectionDeleter> quic_;
  Session session_;  // goes before the connection that it refers to
  bool confirmed_ = false;
  std::int64_t stream_ = -1;
  std::uint64_t queued_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t expected_ = 0;
  std::vector<std::uint8_t>* sink_ = nullptr;
  std::size_t sink_at_ = 0;
};

/// CLOCK_MONOTONIC in nanoseconds, which is what ngtcp2 is given everywhere.
std::uint64_t now_ns();

}  // namespace ferry::bare_quic

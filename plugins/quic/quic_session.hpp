// One QUIC connection inside the engine: ngtcp2's state, its TLS session, its streams, and how it ends.
//
// Life: connecting → established → closing (we sent CONNECTION_CLOSE) or draining (the peer did) → gone; or failed,
// when it was never established. With early data (0-RTT) an application has it while the handshake is still under way:
// connecting → early → established. ngtcp2's and GnuTLS's state is freed as soon as the connection is no more, even
// while an application still holds a handle on one of its streams.
//
// All members are for use inside the engine, but for those that say otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ferry/plugin.hpp"
#include "quic_datagrams.hpp"
#include "quic_engine.hpp"
#include "quic_ngtcp2.hpp"
#include "quic_options.hpp"
#include "quic_packet_size.hpp"
#include "quic_qlog.hpp"
#include "quic_stream.hpp"
#include "quic_stream_queue.hpp"
#include "quic_tls.hpp"

namespace ferry::quic {

/// What an `abort` tells the peer.
inline constexpr std::uint64_t code_of_abort = 1;

enum class Phase : std::uint8_t { connecting, early, established, failed, closed };

/// What a connection has done so far.
struct Counters {
  std::uint64_t packets_sent = 0, packets_received = 0, bytes_sent = 0, bytes_received = 0, losses = 0,
                path_changes = 0, datagrams_sent = 0, datagrams_received = 0, datagrams_dropped = 0;
};

/// That `early_data` is on, where `what` uses it.
void warn_of_early_data(const Engine& engine, const std::string& what);

/// What the handshake has shown.
struct PeerIdentity {
  bool known = false;       // false: the handshake is under way, and nothing is proven
  std::string certificate;  // DER; empty: none
  std::string protocol;
  std::string cipher;
  bool resumed = false;
  bool early = false;  // its first bytes, or ours, came with early data
};

/// What a new server connection starts from.
struct Arrival {
  const ngtcp2_pkt_hd& header;
  const Packet& packet;
  std::optional<ngtcp2_cid> original_id;  ///< with a Retry behind it: the id that came before
};

class Session final : public std::enable_shared_from_this<Session>, public Timed, public PacketHandler {
 public:
  Session(Engine& engine, std::shared_ptr<const Settings> settings, bool server);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  /// Begins a client's handshake and sends its first packet. Throws plugin::Failure.
  void connect(const SocketAddress& remote, const std::string& name, std::shared_ptr<const Credentials> credentials);
  /// Begins a server's. Throws plugin::Failure.
  void accept(std::shared_ptr<Acceptor> acceptor, const Arrival& arrival,
              std::shared_ptr<const Credentials> credentials);

  // ---- Any thread.
  Phase phase() const noexcept { return phase_.load(std::memory_order_seq_cst); }
  const std::shared_ptr<Stream>& primary() const noexcept { return primary_; }
  bool is_of(const Acceptor& acceptor) const noexcept { return acceptor_.get() == &acceptor; }
  const Settings& settings() const noexcept { return *settings_; }
  bool is_server() const noexcept { return server_; }
  bool is_peers(std::int64_t stream_id) const noexcept { return (stream_id & 1) == (server_ ? 0 : 1); }
  /// With phase failed.
  ferry_status failure() const noexcept { return failure_; }
  const std::string& failure_text() const noexcept { return failure_text_; }
  /// Constant from early or established on.
  const SocketAddress& first_local() const noexcept { return local_; }
  const SocketAddress& first_peer() const noexcept { return remote_; }

  // ---- For the engine and the acceptor.
  void on_packet(const Packet& packet, std::uint64_t now) override;
  void on_socket_error(int error) override;
  void on_writable() override;
  bool expects_more() const noexcept override { return !server_ && phase() == Phase::connecting; }
  void receive(ReceiveBuffers& buffers, std::uint64_t now) noexcept;
  void expired(std::uint64_t now);
  /// Sends what there is to send and may be sent, and sets the next deadline.
  void flush(std::uint64_t now);
  /// The application did something with one of the streams.
  void serve(Stream& stream);
  /// Ends the connection at once, telling the peer if there is one.
  void cut() noexcept;
  /// Gives a handshake under way up for another client's.
  void give_way() noexcept;
  /// What came first of a client's was not its beginning: nothing is kept for it until it has proven its address.
  bool must_retry() const noexcept { return must_retry_; }
  bool lingers() const noexcept { return lingering_; }
  bool in_flush_list = false;

  // ---- For the handles.
  void handle_made() noexcept { ++handles_; }
  /// The application lets go of a stream, or of a handle that is none (null); with the last the connection ends.
  void handle_closed(Stream* stream, bool abort) noexcept;
  /// Opens a stream, its handle counted. FERRY_WOULD_BLOCK: the peer allows no more; `asking` can wait for it.
  ferry_status open_stream(Stream& asking, std::shared_ptr<Stream>& out);
  /// Lets the peer open streams, a handle counted. Null: somebody does already.
  std::shared_ptr<StreamQueue> listen_for_streams();
  /// What nobody has accepted is reset, and the handle is given up.
  void stop_listening_for_streams(StreamQueue& queue) noexcept;
  ferry_status reset_stream(Stream& stream, std::uint64_t code) noexcept;
  ferry_status stop_stream(Stream& stream, std::uint64_t code) noexcept;
  /// Gives the datagrams, a handle counted. Null: somebody has them.
  std::shared_ptr<Datagrams> open_datagrams();
  void close_datagrams(bool abort) noexcept;
  /// Any thread. 0: the peer takes none.
  std::uint64_t max_datagram() const noexcept { return max_datagram_.load(std::memory_order_relaxed); }
  std::uint64_t max_datagram_of_any_path() const noexcept {
    return max_datagram_of_any_path_.load(std::memory_order_relaxed);
  }
  /// False: not before the handshake is confirmed; `asking` can wait for it. Throws plugin::Failure where it never may.
  bool may_move(Stream& asking);
  /// Begins to move a client's end, which may; `asking` can wait for the peer's answer. Throws plugin::Failure.
  void begin_move(Stream& asking, UdpSocket socket);
  void give_up_move() noexcept;
  ferry_status moved() const noexcept;
  std::pair<SocketAddress, SocketAddress> addresses_now() const noexcept;
  const PeerIdentity& identity() const noexcept { return identity_; }
  /// The last ones known, when the connection is over.
  PathFigures path_figures() noexcept;
  Counters counters() noexcept;
  ngtcp2_conn* conn() noexcept { return conn_; }  // null once the connection is no more

 private:
  friend struct Callbacks;

  /// What the socket had no room for.
  struct HeldBurst {
    SocketAddress local;
    SocketAddress remote;
    std::uint8_t ecn = 0;
    std::size_t segment = 0;
    std::vector<std::uint8_t> bytes;

    UdpSocket::Burst burst() const noexcept { return {&local, &remote, ecn, segment, bytes}; }
  };

  void make_tls(std::shared_ptr<const Credentials> credentials, PeerRules rules);
  ngtcp2_settings transport_settings(std::uint64_t now, const ngtcp2_cid& original);
  ngtcp2_transport_params transport_params() const noexcept;
  void add_to_engine();
  /// The log, if there is one, gets its file.
  void open_qlog() noexcept;
  bool send_flight_in_halves(std::uint64_t now);
  void established();

  // Early data: quic_session_early.cpp.
  void send_early();
  void receive_early();
  bool end_early() noexcept;
  bool open_primary() noexcept;

  // Streams: quic_session_streams.cpp.
  std::shared_ptr<Stream> make_stream(std::int64_t id, std::uint64_t credit_step);
  void use_streams() noexcept;
  void let_streams_in() noexcept;
  void expect_news(Stream& asking);
  void tell_openers() noexcept;
  bool peer_opened(std::int64_t id);
  void peer_stopped(const StopSending& stop) noexcept;
  void close_stream(Stream& stream, bool abort) noexcept;
  void retire(Stream& stream) noexcept;
  bool reads_on() const noexcept;
  bool has_written_all() const noexcept;

  // Paths: quic_session_path.cpp.
  void path_decided(const ngtcp2_path& path, bool valid) noexcept;
  void drop_socket(std::unique_ptr<UdpSocket>& socket) noexcept;
  UdpSocket* socket_at(const SocketAddress& local) noexcept;

  // Datagrams: quic_session_datagrams.cpp.
  std::shared_ptr<Datagrams> datagrams();
  void note_max_datagram() noexcept;
  void datagram_arrived(std::span<const std::uint8_t> datagram);
  ngtcp2_ssize write_datagrams(std::span<std::uint8_t> out, ngtcp2_path& path, ngtcp2_pkt_info& info,
                               std::uint64_t now);

  // Output: quic_session_output.cpp.
  void queue(Stream& stream);
  void unblock();
  bool write_packets(std::uint64_t now);
  std::size_t packet_room() const noexcept;
  bool may_probe() const noexcept;
  void note_timeouts() noexcept;
  std::size_t send_quantum() const noexcept;
  bool is_starved(const Stream& stream) const noexcept;
  ngtcp2_ssize write_packet(std::span<std::uint8_t> out, ngtcp2_path& path, ngtcp2_pkt_info& info, std::uint64_t now);
  void send_burst(const ngtcp2_path& path, std::uint8_t ecn, std::size_t segment, std::span<const std::uint8_t> bytes);
  bool send_held();
  bool has_output() const noexcept;
  void reschedule(std::uint64_t now);
  void check_acknowledged(std::uint64_t now);

  // Ends: quic_session_end.cpp.
  void read_failed(int error, std::uint64_t now);
  void fail(ferry_status status, std::string text);
  void close_with(const CloseReason& reason, std::uint64_t now) noexcept;
  void peer_closed(std::uint64_t now);
  void forget_connection() noexcept;
  void leave_engine() noexcept;
  void repeat_close(std::uint64_t now);

  void end(bool abort) noexcept;
  void release_streams() noexcept;

  UdpSocket& socket() noexcept;
  const std::array<std::uint8_t, 32>& reset_secret() const noexcept;

  Engine& engine_;
  const std::shared_ptr<const Settings> settings_;
  const bool server_;
  // A client's: in use, being tried for a move, and in use before the last one.
  std::unique_ptr<UdpSocket> own_socket_, next_socket_, previous_socket_;
  std::shared_ptr<Stream> mover_;  // whose application waits for a move
  bool move_succeeded_ = false;
  bool confirmed_ = false;              // the handshake
  std::shared_ptr<Acceptor> acceptor_;  // a server's
  SocketAddress local_;
  SocketAddress remote_;
  std::unique_ptr<TlsSession> tls_;
  ngtcp2_conn* conn_ = nullptr;
  std::vector<std::string> routes_;

  std::shared_ptr<Stream> primary_;
  std::vector<std::shared_ptr<Stream>> streams_;  // those that ngtcp2 knows, or will
  std::vector<Stream*> ready_;                    // those that have output and may send it, served in turn
  bool any_blocked_ = false;
  bool uses_streams_ = false;                     // beside the primary one
  std::shared_ptr<StreamQueue> peers_streams_;    // null: nobody has asked for them
  bool listens_no_more_ = false;                  // for them
  std::vector<std::shared_ptr<Stream>> openers_;  // whose applications wait for the peer to allow a stream or a move
  std::uint64_t losses_of_closed_ = 0;
  std::shared_ptr<Datagrams> datagrams_;  // null: none came, and nobody has asked for them
  bool datagrams_open_ = false;
  bool forgotten_by_peer_ = false;  // it was restarted: a stateless reset has come
  bool parted_in_order_ = false;    // the peer closed the connection without an error
  std::atomic<std::uint64_t> max_datagram_{0};
  std::atomic<std::uint64_t> max_datagram_of_any_path_{0};
  PeerIdentity identity_;

  std::atomic<Phase> phase_{Phase::connecting};
  ferry_status failure_ = FERRY_OK;
  std::string failure_text_;
  bool protocol_missing_ = false;
  bool must_retry_ = false;
  bool sends_early_ = false;  // a client's whose handshake is under way: what is written leaves as early data
  int handles_ = 0;
  bool has_left_ = false;  // the engine
  bool lingering_ = false;
  std::uint64_t linger_until_ = no_deadline;

  bool has_rtt_ = false;
  PacketSize packet_size_;
  PacketSize::Place handed_over_;            // what went into a packet last, of which stream
  std::uint64_t due_unpaced_ = no_deadline;  // before pacing's own time was added to the deadlines of the last flush
  Counters counters_;
  PathFigures last_figures_{};
  std::optional<Qlog> qlog_;
  std::vector<HeldBurst> held_;  // in order; until they are gone, nothing more is written

  HeldBurst close_packet_;  // to be repeated
  std::uint64_t packets_after_close_ = 0;
};

}  // namespace ferry::quic

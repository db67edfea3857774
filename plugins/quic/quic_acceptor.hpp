// A listening UDP port inside the engine: tells packets of known connections from new clients, strangers and noise, and
// queues what was established for accept.
//
// Until a client has proven its address, nothing is kept for it that it could make many of: a handful of handshakes at
// once, then only for clients that return a Retry token; and when `backlog` handshakes are under way, the oldest of the
// address that has most of them makes room. Answers are never larger than three times what came, which
// ngtcp2 sees to within a connection and this file without one.
//
// The port outlives its listener as long as a connection does; listening there again takes it over.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "quic_session.hpp"
#include "quic_wakeup.hpp"

namespace ferry::quic {

class Acceptor final : public std::enable_shared_from_this<Acceptor>, public PacketHandler {
 public:
  Acceptor(Engine& engine, UdpSocket socket) : engine_(engine), socket_(std::move(socket)) {}

  /// What accept finds: a connection, or why a client was turned away, or neither.
  struct Next {
    std::shared_ptr<Session> session;
    ferry_status refusal = FERRY_OK;
    std::string why;
  };

  // ---- Any thread.
  Next take();
  bool has_next();
  Wakeup& wakeup() noexcept { return wakeup_; }
  UdpSocket& socket() noexcept { return socket_; }

  // ---- Inside the engine.
  void open(std::shared_ptr<const Settings> settings, std::shared_ptr<const Credentials> credentials);
  /// No more clients; those that were not accepted are cut.
  void close() noexcept;
  bool is_open() const noexcept { return open_; }
  /// Nobody needs the port any more.
  bool is_idle() const noexcept { return !open_ && live_ == 0; }

  void on_packet(const Packet& packet, std::uint64_t now) override;
  void on_socket_error(int) override {}
  void on_writable() override;

  // ---- For its sessions.
  /// It can be accepted. Its handshake may still be under way.
  void hand_out(Session& session);
  /// Its handshake is through: the client is where it says.
  void proven(Session& session) noexcept { std::erase(pending_, &session); }
  /// None is under way.
  bool has_no_handshake() const noexcept { return pending_.empty(); }
  void refused(Session& session);
  void ended(Session& session) noexcept;

 private:
  void remember(Session& session, const ngtcp2_version_cid& ids) noexcept;
  Session* same_as_last(std::span<const std::uint8_t> packet) const noexcept;
  void first_packet(const Packet& packet, const ngtcp2_version_cid& ids, std::uint64_t now);
  bool check_token(const Packet& packet, const ngtcp2_pkt_hd& header, std::optional<ngtcp2_cid>& original,
                   std::uint64_t now);
  void send_retry(const Packet& packet, const ngtcp2_pkt_hd& header, std::uint64_t now);
  void send_refusal(const Packet& packet, const ngtcp2_pkt_hd& header, std::uint64_t code);
  void send_version_negotiation(const Packet& packet, const ngtcp2_version_cid& ids);
  void send_reset(const Packet& packet, const ngtcp2_version_cid& ids, std::uint64_t now);
  bool make_room();
  void answer(const Packet& packet, std::span<const std::uint8_t> bytes);
  void retire_if_idle() noexcept;

  Engine& engine_;
  UdpSocket socket_;
  Wakeup wakeup_;

  bool open_ = false;
  std::shared_ptr<const Settings> settings_;
  std::shared_ptr<const Credentials> credentials_;
  std::vector<Session*> pending_;  // whose handshakes are under way, the oldest first
  std::uint32_t live_ = 0;         // established and not ended
  // Whose packet came last, and by which id. Packets come in runs, as the kernel joins them.
  Session* last_ = nullptr;
  std::array<std::uint8_t, connection_id_bytes> last_id_{};
  std::uint64_t last_routes_ = 0;  // Engine::route_changes() then
  std::uint64_t second_ = 0;       // of the two limits on what strangers make us do
  std::uint32_t resets_in_second_ = 0;
  std::uint32_t lines_in_second_ = 0;

  std::mutex mutex_;  // guards the queues
  std::deque<std::shared_ptr<Session>> established_;
  std::deque<Next> refusals_;
};

}  // namespace ferry::quic

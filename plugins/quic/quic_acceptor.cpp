#include "quic_acceptor.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_map>

namespace ferry::quic {
namespace {

// Handshakes of unproven addresses at once; with more under way, clients must return a token first.
constexpr std::uint32_t unproven_handshakes = 64;
constexpr std::uint64_t token_lifetime_ns = 10'000'000'000;
constexpr std::size_t min_initial_bytes = 1200;  // RFC 9000, section 14.1
// Resets are answers to strangers: smaller than what came (RFC 9000, section 10.3.3) and no more than so many a second.
constexpr std::uint32_t max_resets_per_second = 1000;
constexpr std::size_t max_reset_bytes = 41;  // looks like a packet
constexpr std::uint32_t max_log_lines_per_second = 10;
constexpr std::size_t max_refusals_kept = 16;
constexpr std::uint64_t ns_per_s = 1'000'000'000;

/// What one host may choose its addresses from: all of an IPv4 address, 64 bits of an IPv6 address.
std::string network_of(const SocketAddress& address) {
  if (address.family() == AF_INET) {
    const auto& ipv4 = reinterpret_cast<const sockaddr_in&>(address.storage).sin_addr;
    return {reinterpret_cast<const char*>(&ipv4), sizeof(ipv4)};
  }
  const auto& ipv6 = reinterpret_cast<const sockaddr_in6&>(address.storage).sin6_addr;
  const auto* const bytes = reinterpret_cast<const char*>(&ipv6);
  return IN6_IS_ADDR_V4MAPPED(&ipv6) ? std::string(bytes + 12, 4) : std::string(bytes, 8);
}

}  // namespace

// ------------------------------------------------------------------------------------------------- for accept

Acceptor::Next Acceptor::take() {
  const std::scoped_lock lock(mutex_);
  Next out;
  if (!established_.empty()) {
    out.session = std::move(established_.front());
    established_.pop_front();
  } else if (!refusals_.empty()) {
    out = std::move(refusals_.front());
    refusals_.pop_front();
  }
  return out;
}

bool Acceptor::has_next() {
  const std::scoped_lock lock(mutex_);
  return !established_.empty() || !refusals_.empty();
}

void Acceptor::hand_out(Session& session) {
  ++live_;
  session.handle_made();  // that of the queue
  {
    const std::scoped_lock lock(mutex_);
    established_.push_back(session.shared_from_this());
  }
  wakeup_.notify();
}

void Acceptor::refused(Session& session) {
  std::erase(pending_, &session);
  if (!open_ || session.must_retry()) return;
  if (lines_in_second_++ < max_log_lines_per_second) {
    engine_.log(FERRY_LOG_PEER_MISBEHAVING, "quic " + socket_.local().text() + " turned " +
                                                session.first_peer().text() + " away: " + session.failure_text());
  }
  // A client that gave up or never came back is nobody's news; one that could not prove who it is may be.
  if (session.failure() != FERRY_AUTHENTICATION) return;
  {
    const std::scoped_lock lock(mutex_);
    if (refusals_.size() >= max_refusals_kept) return;
    refusals_.push_back({nullptr, session.failure(), session.first_peer().text() + ": " + session.failure_text()});
  }
  wakeup_.notify();
}

void Acceptor::ended(Session& session) noexcept {
  std::erase(pending_, &session);
  --live_;
  retire_if_idle();
}

// ------------------------------------------------------------------------------------------- opening and closing

void Acceptor::open(std::shared_ptr<const Settings> settings, std::shared_ptr<const Credentials> credentials) {
  settings_ = std::move(settings);
  credentials_ = std::move(credentials);
  pending_.reserve(settings_->backlog);  // so that none is lost once it is in the engine
  if (!open_ && live_ == 0) {
    engine_.add_socket(socket_, *this);
    engine_.acceptors().push_back(shared_from_this());
  }
  open_ = true;
}

void Acceptor::close() noexcept {
  if (!open_) return;
  open_ = false;
  // Of those that are closed already, nothing is left but answers to late packets: they would only hold the port.
  for (Session* session : engine_.sessions_of(*this)) {
    if (session->phase() == Phase::connecting || session->conn() == nullptr) session->cut();
  }
  std::deque<std::shared_ptr<Session>> unwanted;
  {
    const std::scoped_lock lock(mutex_);
    unwanted.swap(established_);
    refusals_.clear();
  }
  for (const auto& session : unwanted) {
    const std::shared_ptr<Stream> stream = session->primary();
    session->handle_closed(stream.get(), true);
  }
  retire_if_idle();
}

void Acceptor::retire_if_idle() noexcept {
  if (!is_idle()) return;
  engine_.remove_socket(socket_);
  std::erase_if(engine_.acceptors(), [this](const auto& other) { return other.get() == this; });
}

// ---------------------------------------------------------------------------------------------------- packets

void Acceptor::on_writable() {
  for (Session* session : engine_.sessions_of(*this)) engine_.flush_later(*session);
}

Session* Acceptor::same_as_last(std::span<const std::uint8_t> packet) const noexcept {
  const bool long_header = (packet[0] & 0x80) != 0;
  if (long_header || packet.size() <= connection_id_bytes || last_routes_ != engine_.route_changes()) return nullptr;
  return std::memcmp(packet.data() + 1, last_id_.data(), connection_id_bytes) == 0 ? last_ : nullptr;
}

void Acceptor::remember(Session& session, const ngtcp2_version_cid& ids) noexcept {
  if (ids.dcidlen != connection_id_bytes) return;
  last_ = &session;
  std::memcpy(last_id_.data(), ids.dcid, connection_id_bytes);
  last_routes_ = engine_.route_changes();
}

void Acceptor::on_packet(const Packet& packet, std::uint64_t now) {
  if (Session* const session = same_as_last(packet.bytes)) return session->on_packet(packet, now);
  ngtcp2_version_cid ids;
  const int result = ngtcp2_pkt_decode_version_cid(&ids, packet.bytes.data(), packet.bytes.size(), connection_id_bytes);
  if (result != 0 && result != NGTCP2_ERR_VERSION_NEGOTIATION) return;
  if (result == 0) {
    if (Session* session = engine_.find({reinterpret_cast<const char*>(ids.dcid), ids.dcidlen})) {
      if (!session->is_of(*this)) return;
      remember(*session, ids);
      return session->on_packet(packet, now);
    }
  }
  if (now / ns_per_s != second_) {
    second_ = now / ns_per_s;
    resets_in_second_ = 0;
    lines_in_second_ = 0;
  }
  const bool long_header = (packet.bytes[0] & 0x80) != 0;
  if (!long_header) return send_reset(packet, ids, now);
  if (packet.bytes.size() < min_initial_bytes) return;
  if (ids.version == 0) return;  // Version Negotiation is not answered by itself (RFC 9000, section 6.1)
  if (result != 0 || ids.version != NGTCP2_PROTO_VER_V1) return send_version_negotiation(packet, ids);
  first_packet(packet, ids, now);
}

void Acceptor::first_packet(const Packet& packet, const ngtcp2_version_cid&, std::uint64_t now) {
  ngtcp2_pkt_hd header;
  if (ngtcp2_accept(&header, packet.bytes.data(), packet.bytes.size()) != 0 || header.type != NGTCP2_PKT_INITIAL)
    return;
  if (!open_) return send_refusal(packet, header, NGTCP2_CONNECTION_REFUSED);
  std::optional<ngtcp2_cid> original;
  if (header.token.len > 0 && header.token.base[0] == NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY) {
    if (!check_token(packet, header, original, now)) return send_refusal(packet, header, NGTCP2_INVALID_TOKEN);
  }
  const bool crowded = pending_.size() >= unproven_handshakes;
  const bool must_prove = settings_->retry == Retry::always || (settings_->retry == Retry::automatic && crowded);
  if (must_prove && !original) return send_retry(packet, header, now);
  if (!make_room()) return;  // it will ask again, as TCP's clients do
  auto session = std::make_shared<Session>(engine_, settings_, true);
  try {
    session->accept(shared_from_this(), {header, packet, original}, credentials_);
  } catch (const plugin::Failure& failure) {
    engine_.log(FERRY_LOG_ERROR, std::string("quic: ") + failure.what());
    return;
  }
  pending_.push_back(session.get());
  session->on_packet(packet, now);
  if (session->must_retry() && !original) send_retry(packet, header, now);
}

/// Whether another handshake may begin. One host, whatever it sends, so keeps no other one out for long.
bool Acceptor::make_room() {
  std::size_t queued = 0;
  {
    const std::scoped_lock lock(mutex_);
    queued = established_.size();
  }
  if (pending_.size() + queued < settings_->backlog) return true;
  std::unordered_map<std::string, std::size_t> pending_of;
  std::size_t most = 0;
  for (const Session* session : pending_) most = std::max(most, ++pending_of[network_of(session->first_peer())]);
  const auto oldest = std::find_if(pending_.begin(), pending_.end(), [&](const Session* session) {
    return pending_of[network_of(session->first_peer())] == most;
  });
  if (oldest == pending_.end()) return false;  // what waits for accept fills the backlog
  (*oldest)->give_way();
  return true;
}

bool Acceptor::check_token(const Packet& packet, const ngtcp2_pkt_hd& header, std::optional<ngtcp2_cid>& original,
                           std::uint64_t now) {
  ngtcp2_cid id;
  const auto& secret = engine_.secret();
  if (ngtcp2_crypto_verify_retry_token(&id, header.token.base, header.token.len, secret.data(), secret.size(),
                                       header.version, packet.remote.get(), packet.remote.size, &header.dcid,
                                       token_lifetime_ns, now) != 0) {
    return false;
  }
  original = id;
  return true;
}

// ------------------------------------------------------------------------------------- answers without a connection

void Acceptor::answer(const Packet& packet, std::span<const std::uint8_t> bytes) {
  (void)socket_.send({&packet.local, &packet.remote, 0, bytes.size(), bytes});
  (void)socket_.take_send_error();
}

void Acceptor::send_retry(const Packet& packet, const ngtcp2_pkt_hd& header, std::uint64_t now) {
  const ngtcp2_cid id = random_id(connection_id_bytes);
  const auto& secret = engine_.secret();
  std::array<std::uint8_t, NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN> token;
  const ngtcp2_ssize token_size =
      ngtcp2_crypto_generate_retry_token(token.data(), secret.data(), secret.size(), header.version,
                                         packet.remote.get(), packet.remote.size, &id, &header.dcid, now);
  if (token_size < 0) return;
  std::array<std::uint8_t, 512> out;
  const ngtcp2_ssize size = ngtcp2_crypto_write_retry(out.data(), out.size(), header.version, &header.scid, &id,
                                                      &header.dcid, token.data(), static_cast<std::size_t>(token_size));
  if (size > 0) answer(packet, {out.data(), static_cast<std::size_t>(size)});
}

void Acceptor::send_refusal(const Packet& packet, const ngtcp2_pkt_hd& header, std::uint64_t code) {
  std::array<std::uint8_t, min_initial_bytes> out;
  const ngtcp2_ssize size = ngtcp2_crypto_write_connection_close(out.data(), out.size(), header.version, &header.scid,
                                                                 &header.dcid, code, nullptr, 0);
  if (size > 0) answer(packet, {out.data(), static_cast<std::size_t>(size)});
}

void Acceptor::send_version_negotiation(const Packet& packet, const ngtcp2_version_cid& ids) {
  constexpr std::array<std::uint32_t, 1> versions = {NGTCP2_PROTO_VER_V1};
  std::array<std::uint8_t, min_initial_bytes> out;
  std::uint8_t random = 0;
  fill_random(&random, 1);
  const ngtcp2_ssize size = ngtcp2_pkt_write_version_negotiation(
      out.data(), out.size(), random, ids.scid, ids.scidlen, ids.dcid, ids.dcidlen, versions.data(), versions.size());
  if (size > 0) answer(packet, {out.data(), static_cast<std::size_t>(size)});
}

void Acceptor::send_reset(const Packet& packet, const ngtcp2_version_cid& ids, std::uint64_t) {
  // Shorter than what came, so that two hosts that know nothing of each other soon stop (RFC 9000, section 10.3).
  const std::size_t reset_bytes = std::min(max_reset_bytes, packet.bytes.size() - 1);
  constexpr std::size_t min_reset_bytes = NGTCP2_MIN_STATELESS_RESET_RANDLEN + NGTCP2_STATELESS_RESET_TOKENLEN;
  if (reset_bytes < min_reset_bytes || resets_in_second_++ >= max_resets_per_second) return;
  ngtcp2_cid id;
  ngtcp2_cid_init(&id, ids.dcid, ids.dcidlen);
  const auto& secret = credentials_->reset_secret();
  std::array<std::uint8_t, NGTCP2_STATELESS_RESET_TOKENLEN> token;
  if (ngtcp2_crypto_generate_stateless_reset_token(token.data(), secret.data(), secret.size(), &id) != 0) return;
  std::array<std::uint8_t, max_reset_bytes - NGTCP2_STATELESS_RESET_TOKENLEN> random;
  fill_random(random.data(), random.size());
  std::array<std::uint8_t, max_reset_bytes> out;
  const ngtcp2_ssize size = ngtcp2_pkt_write_stateless_reset(out.data(), reset_bytes, token.data(), random.data(),
                                                             reset_bytes - NGTCP2_STATELESS_RESET_TOKENLEN);
  if (size > 0) answer(packet, {out.data(), static_cast<std::size_t>(size)});
}

}  // namespace ferry::quic

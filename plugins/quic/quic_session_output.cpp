// Writing packets: which stream's bytes go next, bursts of equal segments, and when to go on.
#include <algorithm>
#include <array>
#include <cstring>

#include "quic_acceptor.hpp"
#include "quic_session.hpp"

namespace ferry::quic {
namespace {

constexpr std::size_t max_pieces = 8;
constexpr std::uint64_t min_ack_delay_ns = 100'000;
constexpr std::uint64_t fast_path_burst_ns = 100'000;
constexpr std::size_t fast_path_burst_bytes = 2 * max_burst_bytes;

}  // namespace

/// Puts the stream among those that are served, if it has anything to send and is open.
void Session::queue(Stream& stream) {
  stream.blocked = false;
  if (stream.in_ready_list || stream.id < 0 || stream.closed) return;
  if (!stream.has_output() && !stream.must_announce) return;
  ready_.push_back(&stream);
  stream.in_ready_list = true;
}

/// STREAM_DATA_BLOCKED is not reported in every case, and the connection's own window never: after each packet, what
/// was held up by either is tried again.
void Session::unblock() {
  if (ngtcp2_conn_get_max_data_left(conn_) == 0) return;
  any_blocked_ = false;
  for (const auto& stream : streams_) {
    if (stream->blocked) queue(*stream);
  }
}

ngtcp2_ssize Session::write_packet(std::span<std::uint8_t> out, ngtcp2_path& path, ngtcp2_pkt_info& info,
                                   std::uint64_t now) {
  // Once ngtcp2 said WRITE_MORE it must be called until a packet comes out, be it with nothing.
  if (datagrams_ != nullptr && !sends_early_) {
    const ngtcp2_ssize size = write_datagrams(out, path, info, now);
    if (size != NGTCP2_ERR_WRITE_MORE) return size;
  }
  const bool is_held = sends_early_ && !has_room_for_early_data(conn_);
  for (;;) {
    if (ready_.empty() || is_held) {
      return ngtcp2_conn_writev_stream(conn_, &path, &info, out.data(), out.size(), nullptr,
                                       NGTCP2_WRITE_STREAM_FLAG_NONE, -1, nullptr, 0, now);
    }
    Stream& stream = *ready_.front();
    std::array<std::span<const std::uint8_t>, max_pieces> pieces;
    bool fin = false;
    const std::size_t count = stream.gather(pieces, out.size(), fin);
    const bool announce = stream.must_announce;
    ngtcp2_ssize taken = -1;
    ngtcp2_ssize size = NGTCP2_ERR_STREAM_DATA_BLOCKED;
    if (count > 0 || fin || announce) {
      std::array<ngtcp2_vec, max_pieces> data;
      for (std::size_t i = 0; i < count; ++i) data[i] = {const_cast<std::uint8_t*>(pieces[i].data()), pieces[i].size()};
      const std::uint32_t flags =
          NGTCP2_WRITE_STREAM_FLAG_MORE | (fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : NGTCP2_WRITE_STREAM_FLAG_NONE);
      size = ngtcp2_conn_writev_stream(conn_, &path, &info, out.data(), out.size(), &taken, flags, stream.id,
                                       data.data(), count, now);
    }
    if (taken >= 0) {
      stream.handed_over(static_cast<std::size_t>(taken), fin);
      handed_over_ = {stream.id, stream.handed()};
      engine_.tell_later(stream);
      stream.must_announce = false;
    }
    if (size == NGTCP2_ERR_STREAM_SHUT_WR || size == NGTCP2_ERR_STREAM_NOT_FOUND) stream.end_writing();
    const bool refused = size < 0 && size != NGTCP2_ERR_WRITE_MORE;
    if (refused && size != NGTCP2_ERR_STREAM_DATA_BLOCKED && size != NGTCP2_ERR_STREAM_SHUT_WR &&
        size != NGTCP2_ERR_STREAM_NOT_FOUND) {
      return size;
    }
    if ((refused || (count > 0 && taken <= 0 && is_starved(stream))) && stream.has_output()) {
      stream.blocked = true;
      any_blocked_ = true;
    }
    // A probe of the path takes no stream along.
    if (refused || stream.blocked || (!stream.has_output() && !stream.must_announce)) {
      stream.in_ready_list = false;
      ready_.erase(ready_.begin());
    } else if (size >= 0 && ready_.size() > 1) {  // its turn ends with the packet
      std::rotate(ready_.begin(), ready_.begin() + 1, ready_.end());
    }
    if (size >= 0) return size;
  }
}

/// Flow control lets no byte through. ngtcp2 does not say so in every case.
bool Session::is_starved(const Stream& stream) const noexcept {
  return ngtcp2_conn_get_max_data_left(conn_) == 0 || ngtcp2_conn_get_max_stream_data_left(conn_, stream.id) == 0;
}

void Session::send_burst(const ngtcp2_path& path, std::uint8_t ecn, std::size_t segment,
                         std::span<const std::uint8_t> bytes) {
  const SocketAddress local = address_of(path.local);
  const SocketAddress remote = address_of(path.remote);
  std::size_t sent = 0;
  if (held_.empty()) {
    UdpSocket* const out = socket_at(local);
    if (out == nullptr) return;
    sent = out->send({&local, &remote, ecn, segment, bytes});
    if (const int error = out->take_send_error(); error != 0) on_socket_error(error);
    if (sent == bytes.size() || conn_ == nullptr) return;
    engine_.watch_writable(*out, true);
  }
  held_.push_back({local, remote, ecn, segment, {bytes.begin() + static_cast<std::ptrdiff_t>(sent), bytes.end()}});
}

bool Session::send_held() {
  while (!held_.empty()) {
    std::vector<std::uint8_t>& bytes = held_.front().bytes;
    UdpSocket* const out = socket_at(held_.front().local);
    const std::size_t sent = out == nullptr ? bytes.size() : out->send(held_.front().burst());
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(sent));
    if (!bytes.empty()) {
      engine_.watch_writable(*out, true);
      return false;
    }
    held_.erase(held_.begin());
  }
  return true;
}

/// What may leave at once: what ngtcp2 says, or on paths so fast that this is less, what pacing lets through while a
/// timer is set and a peer woken.
std::size_t Session::send_quantum() const noexcept {
  const std::size_t given = ngtcp2_conn_get_send_quantum(conn_);
  if (!has_rtt_ || given < max_burst_bytes) return given;
  const PathFigures figures = figures_of(conn_);
  const std::uint64_t fast = figures.cwnd * fast_path_burst_ns / std::max<std::uint64_t>(figures.smoothed_rtt_ns, 1);
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(fast, given, fast_path_burst_bytes));
}

/// What a packet may hold; of the path that ngtcp2 looks at, it knows best.
std::size_t Session::packet_room() const noexcept {
  return packet_size_.is_ours() ? packet_size_.current() : ngtcp2_conn_get_max_tx_udp_payload_size(conn_);
}

/// Whether the next packet may be a large one, and would be full.
bool Session::may_probe() const noexcept {
  if (!packet_size_.may_probe() || !has_rtt_ || ready_.empty() || !(server_ || confirmed_)) return false;
  return ready_.front()->waiting() >= PacketSize::large_bytes && PacketSize::is_short(figures_of(conn_).min_rtt_ns);
}

void Session::note_timeouts() noexcept {
  if (!packet_size_.is_at_stake()) return;
  const PathFigures figures = figures_of(conn_);
  packet_size_.timed_out(figures.timeouts_in_a_row, figures.max_payload);
}

/// Writes as much as congestion control and pacing let through. False when the connection failed.
bool Session::write_packets(std::uint64_t now) {
  std::uint8_t* const buffer = engine_.burst_buffer();
  const ngtcp2_path first_path = path_between(local_, remote_);
  if (packet_size_.is_at_stake() && !ngtcp2_path_eq(ngtcp2_conn_get_path(conn_), &first_path)) {
    packet_size_.path_changed();
  }
  const std::size_t room = packet_room();
  const std::size_t quantum = std::max(send_quantum(), room);
  ngtcp2_path_storage burst_path;
  ngtcp2_path_storage path;
  ngtcp2_path_storage_zero(&burst_path);
  ngtcp2_path_storage_zero(&path);
  std::size_t used = 0;
  std::size_t segment = 0;
  std::uint8_t ecn = 0;
  std::size_t total = 0;
  // Whole packets only: one more would be a burst of its own, and wake the peer twice.
  while ((total == 0 || total + room <= quantum) && held_.empty()) {
    ngtcp2_pkt_info info{};
    const bool probes = total == 0 && may_probe();
    const ngtcp2_ssize size =
        write_packet({buffer + used, probes ? PacketSize::large_bytes : room}, path.path, info, now);
    if (size < 0) {
      read_failed(static_cast<int>(size), now);
      return false;
    }
    if (size == 0) break;
    const auto bytes = static_cast<std::size_t>(size);
    total += bytes;
    ++counters_.packets_sent;
    counters_.bytes_sent += bytes;
    const bool fits =
        used == 0 || (bytes <= segment && info.ecn == ecn && ngtcp2_path_eq(&path.path, &burst_path.path));
    if (!fits) {  // another path, another mark, or a longer packet (an MTU probe): what was gathered goes first
      send_burst(burst_path.path, ecn, segment, {buffer, used});
      if (conn_ == nullptr) return false;
      std::memmove(buffer, buffer + used, bytes);
      used = 0;
    }
    if (used == 0) {
      ngtcp2_path_copy(&burst_path.path, &path.path);
      segment = bytes;
      ecn = static_cast<std::uint8_t>(info.ecn);
    }
    used += bytes;
    const bool is_probe = bytes > room;
    if (is_probe) {
      handed_over_.losses = ngtcp2_conn_get_stream_loss_count(conn_, handed_over_.stream);
      packet_size_.probe_sent(bytes, handed_over_);
    }
    const bool last =
        is_probe || bytes < segment || used + room > max_burst_bytes || used / segment >= max_burst_segments;
    if (last) {
      send_burst(burst_path.path, ecn, segment, {buffer, used});
      used = 0;
      if (conn_ == nullptr) return false;
    }
  }
  if (used > 0) send_burst(burst_path.path, ecn, segment, {buffer, used});
  if (conn_ == nullptr) return false;
  if (datagrams_ != nullptr) note_max_datagram();
  // Before a round trip was measured pacing assumes one of 333 ms, and would hold the second packet back for 22 ms.
  if (!has_rtt_) has_rtt_ = figures_of(conn_).has_rtt;
  due_unpaced_ = ngtcp2_conn_get_expiry(conn_);
  if (total > 0 && has_rtt_) ngtcp2_conn_update_pkt_tx_time(conn_, now);
  return true;
}

void Session::flush(std::uint64_t now) {
  if (conn_ == nullptr) return;
  // The time of the last pacing counts as due from when it has passed until it is handled.
  if (engine_.is_driven() && ngtcp2_conn_get_expiry(conn_) <= now) {
    if (const int result = ngtcp2_conn_handle_expiry(conn_, now); result != 0) return read_failed(result, now);
    note_timeouts();
  }
  if (send_held() && !write_packets(now)) return;
  if (conn_ == nullptr) return;
  check_acknowledged(now);
  // A server leaves the good-bye to its client, the only one to know when it has read everything.
  if (lingering_ && !server_ && !reads_on()) return close_with({}, now);
  reschedule(now);
}

/// The end of a stream that was retransmitted together with bytes is not told apart in the acknowledgement; but when
/// all bytes are acknowledged and nothing at all is under way, it has arrived. Nor may anything wait for its turn: an
/// end that was lost and that pacing still holds back is not under way either, and shows as a timer that is due soon.
void Session::check_acknowledged(std::uint64_t now) {
  if (ngtcp2_conn_get_expiry(conn_) <= now + ngtcp2_conn_get_pto(conn_)) return;
  for (const auto& stream : streams_) {
    if (!stream->all_acknowledged() || stream->is_fin_acknowledged()) continue;
    if (figures_of(conn_).bytes_in_flight == 0) stream->fin_acknowledged();
  }
}

bool Session::has_output() const noexcept {
  return !ready_.empty() || !held_.empty() || (datagrams_ != nullptr && !datagrams_->next().empty());
}

/// With nothing to send, what is due soon is an acknowledgement that waits for company, for an eighth of the round
/// trip: less than the application needs for its answer where the path is short, so it waits a little longer.
///
/// Or it is pacing, which then holds back nothing. An event loop would set a timer for it and make a turn. A thread
/// that leads looks for packets once more instead of sleeping, which is the better thing to do, so it is left in for
/// those.
void Session::reschedule(std::uint64_t now) {
  std::uint64_t next = ngtcp2_conn_get_expiry(conn_);
  if (!has_output()) next = std::max(engine_.is_driven() ? due_unpaced_ : next, now + min_ack_delay_ns);
  engine_.timers().set(*this, std::min(next, linger_until_));
}

}  // namespace ferry::quic

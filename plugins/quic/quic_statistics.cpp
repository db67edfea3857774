#include "quic_statistics.hpp"

#include <array>

namespace ferry::quic {

PathFigures Session::path_figures() noexcept {
  if (conn_ != nullptr) last_figures_ = figures_of(conn_);
  if (packet_size_.is_ours()) last_figures_.max_payload = packet_size_.current();
  return last_figures_;
}

Counters Session::counters() noexcept {
  if (conn_ == nullptr) return counters_;
  counters_.losses = losses_of_closed_;
  if (datagrams_ != nullptr) counters_.datagrams_dropped = datagrams_->dropped();
  for (const auto& stream : streams_) {
    if (stream->id >= 0 && !stream->closed) counters_.losses += ngtcp2_conn_get_stream_loss_count(conn_, stream->id);
  }
  return counters_;
}

std::int32_t read_statistics(Engine& engine, Session& session, ferry_statistic* figures, std::uint32_t capacity) {
  PathFigures path;
  Counters counters;
  {
    const Engine::Inside inside(engine);
    path = session.path_figures();
    counters = session.counters();
  }
  const auto value = [](std::uint64_t figure) {
    return figure > INT64_MAX ? INT64_MAX : static_cast<std::int64_t>(figure);  // "not known yet" is all ones
  };
  const std::array all = {
      ferry_statistic{"rtt", "ns", value(path.smoothed_rtt_ns)},
      ferry_statistic{"latest_rtt", "ns", value(path.latest_rtt_ns)},
      ferry_statistic{"min_rtt", "ns", value(path.min_rtt_ns)},
      ferry_statistic{"rtt_variation", "ns", value(path.rtt_variation_ns)},
      ferry_statistic{"congestion_window", "bytes", value(path.cwnd)},
      ferry_statistic{"slow_start_threshold", "bytes", value(path.ssthresh)},
      ferry_statistic{"bytes_in_flight", "bytes", value(path.bytes_in_flight)},
      ferry_statistic{"delivery_rate", "bytes/s", value(path.delivery_rate)},
      ferry_statistic{"max_payload", "bytes", value(path.max_payload)},
      ferry_statistic{"packets_sent", "packets", value(counters.packets_sent)},
      ferry_statistic{"packets_received", "packets", value(counters.packets_received)},
      ferry_statistic{"bytes_sent", "bytes", value(counters.bytes_sent)},
      ferry_statistic{"bytes_received", "bytes", value(counters.bytes_received)},
      ferry_statistic{"retransmissions", "packets", value(counters.losses)},
      ferry_statistic{"datagrams_sent", "", value(counters.datagrams_sent)},
      ferry_statistic{"datagrams_received", "", value(counters.datagrams_received)},
      ferry_statistic{"datagrams_dropped", "", value(counters.datagrams_dropped)},
      ferry_statistic{"path_changes", "", value(counters.path_changes)},
  };
  for (std::uint32_t i = 0; i < all.size() && i < capacity; ++i) figures[i] = all[i];
  return static_cast<std::int32_t>(all.size());
}

}  // namespace ferry::quic

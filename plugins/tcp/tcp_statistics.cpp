#include "tcp_statistics.hpp"

#include <linux/tcp.h>  // its tcp_info is newer than that of <netinet/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstring>

namespace ferry::tcp {
namespace {

/// One member of tcp_info. The kernel only appends members, and says how many bytes it filled.
struct Figure {
  const char* name;
  const char* unit;
  std::size_t offset;
  std::size_t size;
  std::int64_t factor;  // to the unit: the kernel counts times in microseconds
};

#define FERRY_TCP_FIGURE(name, unit, member, factor) \
  Figure { name, unit, offsetof(tcp_info, member), sizeof(tcp_info::member), factor }

constexpr Figure figures_of_info[] = {
    FERRY_TCP_FIGURE("rtt", "ns", tcpi_rtt, 1000),
    FERRY_TCP_FIGURE("rtt_variation", "ns", tcpi_rttvar, 1000),
    FERRY_TCP_FIGURE("min_rtt", "ns", tcpi_min_rtt, 1000),
    FERRY_TCP_FIGURE("retransmission_timeout", "ns", tcpi_rto, 1000),
    FERRY_TCP_FIGURE("congestion_window", "packets", tcpi_snd_cwnd, 1),
    FERRY_TCP_FIGURE("segment_size", "bytes", tcpi_snd_mss, 1),
    FERRY_TCP_FIGURE("unacknowledged", "packets", tcpi_unacked, 1),
    FERRY_TCP_FIGURE("lost", "packets", tcpi_lost, 1),
    FERRY_TCP_FIGURE("retransmits", "packets", tcpi_total_retrans, 1),
    FERRY_TCP_FIGURE("bytes_sent", "bytes", tcpi_bytes_sent, 1),
    FERRY_TCP_FIGURE("bytes_acknowledged", "bytes", tcpi_bytes_acked, 1),
    FERRY_TCP_FIGURE("bytes_retransmitted", "bytes", tcpi_bytes_retrans, 1),
    FERRY_TCP_FIGURE("bytes_received", "bytes", tcpi_bytes_received, 1),
    FERRY_TCP_FIGURE("bytes_not_sent", "bytes", tcpi_notsent_bytes, 1),
    FERRY_TCP_FIGURE("pacing_rate", "bytes/s", tcpi_pacing_rate, 1),
    FERRY_TCP_FIGURE("delivery_rate", "bytes/s", tcpi_delivery_rate, 1),
    FERRY_TCP_FIGURE("busy_time", "ns", tcpi_busy_time, 1000),
    FERRY_TCP_FIGURE("receiver_limited_time", "ns", tcpi_rwnd_limited, 1000),
    FERRY_TCP_FIGURE("send_buffer_limited_time", "ns", tcpi_sndbuf_limited, 1000),
};

#undef FERRY_TCP_FIGURE

std::int64_t value_of(const Figure& figure, const tcp_info& info) {
  const char* member = reinterpret_cast<const char*>(&info) + figure.offset;
  std::uint64_t value = 0;
  if (figure.size == sizeof(std::uint32_t)) {
    std::uint32_t narrow;
    std::memcpy(&narrow, member, sizeof(narrow));
    value = narrow;
  } else {
    std::memcpy(&value, member, sizeof(value));
  }
  const auto limit = static_cast<std::uint64_t>(INT64_MAX / figure.factor);  // an unlimited rate is all ones
  return value > limit ? INT64_MAX : static_cast<std::int64_t>(value) * figure.factor;
}

}  // namespace

std::int32_t read_statistics(int fd, ferry_statistic* figures, std::uint32_t capacity) noexcept {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return FERRY_UNSUPPORTED;
  std::uint32_t count = 0;
  for (const Figure& figure : figures_of_info) {
    if (figure.offset + figure.size > size) continue;
    if (count < capacity) figures[count] = {figure.name, figure.unit, value_of(figure, info)};
    ++count;
  }
  return static_cast<std::int32_t>(count);
}

}  // namespace ferry::tcp

// One direction of a bad network path: what becomes of each packet and when. No I/O and no clock of its own; the same
// seed and the same packets give the same decisions.
#pragma once

#include <cstdint>
#include <optional>
#include <queue>
#include <random>
#include <vector>

namespace ferry::impairment {

/// Shares are probabilities of each packet; they are drawn independently.
struct Impairments {
  double loss = 0;
  bool bleach = false;  ///< ECN marks are cleared, as some old routers do
  double duplicate = 0;
  double flip = 0;      ///< one random bit is inverted
  double truncate = 0;  ///< a random length remains, at least one byte
  std::int64_t delay_ns = 0;
  std::int64_t jitter_ns = 0;            ///< more, evenly distributed: reorders when it exceeds the distance of packets
  std::int64_t rate = 0;                 ///< bits per second, IP and UDP headers included; 0: no limit
  std::int64_t queue_bytes = 256 << 10;  ///< what waits for the rate; what does not fit is dropped
  std::uint64_t max_payload = 65'507;    ///< bytes of a packet without IP and UDP headers; a larger one is dropped
};

struct Counts {
  std::uint64_t arrived = 0, delivered = 0, lost = 0, overflowed = 0, oversized = 0, duplicated = 0, flipped = 0,
                truncated = 0;
  std::uint64_t ecn_capable = 0;  ///< of those that arrived
  std::uint64_t congested = 0;    ///< marked here
  std::uint64_t delivered_bytes = 0, largest_delivered = 0;
};

/// The ECN field of the IP header (RFC 3168, section 5).
enum Ecn : std::uint8_t { ecn_none = 0, ecn_congested = 3, ecn_mask = 3 };

struct Packet {
  std::vector<std::uint8_t> bytes;
  std::uint8_t ecn = ecn_none;
};

class Path {
 public:
  Path(const Impairments& impairments, std::uint64_t seed) : impairments_(impairments), random_(seed) {}

  /// @param sender  comes back with the packet
  void arrive(Packet packet, std::size_t sender, std::int64_t now_ns);
  /// When the next packet is due; nothing when none is on its way.
  std::optional<std::int64_t> next_ns() const;
  /// The next packet due by then and its sender.
  std::optional<std::pair<Packet, std::size_t>> take(std::int64_t now_ns);
  const Counts& counts() const { return counts_; }
  /// From now on.
  void set_max_payload(std::uint64_t bytes) { impairments_.max_payload = bytes; }
  /// Loses the next packet of at least so many bytes, which an acknowledgement by itself does not have.
  void lose_next(std::size_t min_bytes) { lose_next_ = min_bytes; }
  /// Marks one instead, as a congested router does whose neighbours know ECN.
  void mark_next(std::size_t min_bytes) { mark_next_ = min_bytes; }

 private:
  struct Travelling {
    std::int64_t due_ns;
    std::uint64_t order;  // packets due at once stay in order
    std::size_t sender;
    Packet packet;
    bool operator>(const Travelling& other) const {
      return due_ns != other.due_ns ? due_ns > other.due_ns : order > other.order;
    }
  };
  bool happens(double share) { return std::uniform_real_distribution<>(0, 1)(random_) < share; }
  std::uint64_t below(std::uint64_t bound) {
    return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(random_);
  }
  void damage(std::vector<std::uint8_t>& bytes);
  void mark(Packet& packet);
  static bool takes(std::optional<std::size_t>& order, const Packet& packet);
  std::optional<std::int64_t> pass_bottleneck(std::size_t bytes, std::int64_t now_ns);

  Impairments impairments_;
  std::mt19937_64 random_;
  std::int64_t bottleneck_free_ns_ = 0;
  std::uint64_t order_ = 0;
  std::optional<std::size_t> lose_next_, mark_next_;
  std::priority_queue<Travelling, std::vector<Travelling>, std::greater<>> travelling_;
  Counts counts_;
};

}  // namespace ferry::impairment

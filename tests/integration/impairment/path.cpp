#include "path.hpp"

#include <algorithm>
#include <utility>

namespace ferry::impairment {
namespace {

constexpr std::int64_t bits_per_byte = 8;
constexpr std::int64_t header_bytes = 28;  // IPv4 and UDP
constexpr std::int64_t ns_per_s = 1'000'000'000;

}  // namespace

void Path::damage(std::vector<std::uint8_t>& bytes) {
  if (bytes.empty()) return;
  if (happens(impairments_.flip)) {
    const std::uint64_t bit = below(bytes.size() * bits_per_byte);
    bytes[bit / bits_per_byte] ^= static_cast<std::uint8_t>(1u << (bit % bits_per_byte));
    ++counts_.flipped;
  }
  if (happens(impairments_.truncate)) {
    bytes.resize(1 + below(bytes.size()));
    ++counts_.truncated;
  }
}

/// Whether the packet is the one that was ordered, of at least so many bytes.
bool Path::takes(std::optional<std::size_t>& order, const Packet& packet) {
  if (!order || packet.bytes.size() < *order) return false;
  order.reset();
  return true;
}

void Path::mark(Packet& packet) {
  if (packet.ecn == ecn_none) return;
  ++counts_.ecn_capable;
  if (impairments_.bleach) {
    packet.ecn = ecn_none;
  } else if (takes(mark_next_, packet)) {
    packet.ecn = ecn_congested;
    ++counts_.congested;
  }
}

/// When the packet has left the queue in front of the slow link; nothing when the queue has no room.
std::optional<std::int64_t> Path::pass_bottleneck(std::size_t bytes, std::int64_t now_ns) {
  if (impairments_.rate == 0) return now_ns;
  const auto time_of = [this](std::int64_t size) { return size * bits_per_byte * ns_per_s / impairments_.rate; };
  const std::int64_t starts = std::max(now_ns, bottleneck_free_ns_);
  const std::int64_t size = static_cast<std::int64_t>(bytes) + header_bytes;
  if (starts - now_ns > time_of(std::max<std::int64_t>(0, impairments_.queue_bytes - size))) return std::nullopt;
  bottleneck_free_ns_ = starts + time_of(size);
  return bottleneck_free_ns_;
}

void Path::arrive(Packet packet, std::size_t sender, std::int64_t now_ns) {
  ++counts_.arrived;
  // Every share is drawn for every packet, so that a change of one leaves the others' decisions as they were.
  const bool lost = happens(impairments_.loss) || takes(lose_next_, packet);
  const bool twice = happens(impairments_.duplicate);
  damage(packet.bytes);
  mark(packet);
  if (lost) {
    ++counts_.lost;
    return;
  }
  if (packet.bytes.size() > impairments_.max_payload) {
    ++counts_.oversized;
    return;
  }
  const auto left = pass_bottleneck(packet.bytes.size(), now_ns);
  if (!left) {
    ++counts_.overflowed;
    return;
  }
  const auto due = [&] {
    const auto extra = impairments_.jitter_ns > 0 ? below(static_cast<std::uint64_t>(impairments_.jitter_ns)) : 0;
    return *left + impairments_.delay_ns + static_cast<std::int64_t>(extra);
  };
  if (twice) {
    ++counts_.duplicated;
    travelling_.push({due(), order_++, sender, packet});
  }
  travelling_.push({due(), order_++, sender, std::move(packet)});
}

std::optional<std::int64_t> Path::next_ns() const {
  if (travelling_.empty()) return std::nullopt;
  return travelling_.top().due_ns;
}

std::optional<std::pair<Packet, std::size_t>> Path::take(std::int64_t now_ns) {
  if (travelling_.empty() || travelling_.top().due_ns > now_ns) return std::nullopt;
  // priority_queue lends its top as const only; nothing looks at the packet again before pop.
  Packet packet = std::move(const_cast<Travelling&>(travelling_.top()).packet);
  const std::size_t sender = travelling_.top().sender;
  travelling_.pop();
  ++counts_.delivered;
  counts_.delivered_bytes += packet.bytes.size();
  counts_.largest_delivered = std::max<std::uint64_t>(counts_.largest_delivered, packet.bytes.size());
  return std::pair(std::move(packet), sender);
}

}  // namespace ferry::impairment

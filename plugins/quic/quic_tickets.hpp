// TLS session tickets that servers gave a client, by whom they are from and what was verified to get them.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>

namespace ferry::quic {

struct Ticket {
  std::string session;       ///< GnuTLS's own form
  std::string early_limits;  ///< what early data may use, see early_limits_of; empty: there may be none
};

/// Bounded; what is longest there goes first. Any thread.
class Tickets {
 public:
  void put(const std::string& key, Ticket ticket) {
    const std::scoped_lock lock(mutex_);
    entries_.remove_if([&](const auto& entry) { return entry.first == key; });
    entries_.emplace_back(key, std::move(ticket));
    if (entries_.size() > max_entries) entries_.pop_front();
  }
  /// Each is used once, so that those who watch cannot link connections by it (RFC 8446, appendix C.4).
  std::optional<Ticket> take(const std::string& key) {
    const std::scoped_lock lock(mutex_);
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      if (it->first != key) continue;
      Ticket out = std::move(it->second);
      entries_.erase(it);
      return out;
    }
    return std::nullopt;
  }

 private:
  static constexpr std::size_t max_entries = 64;
  std::mutex mutex_;
  std::list<std::pair<std::string, Ticket>> entries_;
};

/// Whether the ticket in a NewSessionTicket message (RFC 8446, section 4.6.1) may be used for early data over QUIC
/// (RFC 9001, section 4.6.1). GnuTLS cannot tell: its limit is the same without the extension.
bool allows_early_data(std::span<const std::uint8_t> message) noexcept;

}  // namespace ferry::quic

// TLS session tickets that servers gave a client, by whom they are from and what was verified to get them.
#pragma once

#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace ferry::quic {

/// Bounded; what is longest there goes first. Any thread.
class Tickets {
 public:
  void put(const std::string& key, std::string ticket) {
    const std::scoped_lock lock(mutex_);
    entries_.remove_if([&](const auto& entry) { return entry.first == key; });
    entries_.emplace_back(key, std::move(ticket));
    if (entries_.size() > max_entries) entries_.pop_front();
  }
  /// Each is used once, so that those who watch cannot link connections by it (RFC 8446, appendix C.4).
  std::optional<std::string> take(const std::string& key) {
    const std::scoped_lock lock(mutex_);
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      if (it->first != key) continue;
      std::string out = std::move(it->second);
      entries_.erase(it);
      return out;
    }
    return std::nullopt;
  }

 private:
  static constexpr std::size_t max_entries = 64;
  std::mutex mutex_;
  std::list<std::pair<std::string, std::string>> entries_;
};

}  // namespace ferry::quic

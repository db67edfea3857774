// Which early data a server has taken, so that it takes none twice.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_set>
#include <utility>

namespace ferry::quic {

/// Remembers what it is given for at least as long as GnuTLS would take the same again. Bounded: when too many come, it
/// takes none until time has passed. Inside the engine.
class ReplayMemory {
 public:
  /// `now_s`, in any clock's seconds that does not go back; false: it is known, or there is no room.
  bool add(std::string id, std::int64_t now_s, std::int64_t window_s) {
    if (now_s > until_s_) {
      previous_ = std::exchange(current_, {});
      until_s_ = now_s + window_s;
    }
    if (current_.size() >= max_per_window || previous_.contains(id)) return false;
    return current_.insert(std::move(id)).second;
  }

  static constexpr std::size_t max_per_window = 16384;

 private:
  std::unordered_set<std::string> current_, previous_;
  std::int64_t until_s_ = INT64_MIN;  // when `current_` becomes `previous_`
};

}  // namespace ferry::quic

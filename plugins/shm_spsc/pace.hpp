// What the reader is likely to be doing when something is published.
//
// In an exchange, one message there and one back, the reader looks at the tail all the time. Intel's processors ask
// early for the lines that their stores are to go to. The tail's often comes before those of the bytes, the reader's
// next look takes it away before the store can happen, and it must come once more: 50 ns of a round trip of 430. So the
// tail's store first waits until the bytes are in place. In a stream that wait would cost more than the message, and on
// AMD's processors it does in an exchange too: 0.69 us a round trip with it, 0.62 without (Zen 5, a line there and back
// 0.52 us). So it is done where it was seen to pay.
//
// Rejected: a fixed delay (as good, on one machine), sfence (no effect), fetching lines for writing as soon as the
// message before is gone (nothing in an exchange, and a stream then fell to 20 M messages/s at times).
#pragma once

#include <atomic>
#include <cstdint>

namespace ferry::shm_spsc {

enum class Pace : std::uint8_t { streaming, exchanging };

/// Whether this is one of the processors on which an answer should wait for its bytes.
inline bool asks_early() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  return __builtin_cpu_is("intel") != 0;
#else
  return false;
#endif
}

/// Tells the writer's thread of a connection that the reader's has waited: what is sent first after a wait is likely to
/// be waited for as well. One line moves between the two threads for each wait, and none while nobody waits.
class Exchange {
 public:
  explicit Exchange(bool asks_early = shm_spsc::asks_early()) noexcept : asks_early_(asks_early) {}

  /// By the reader's thread, when it has looked and found something, late or not.
  void found(bool late) noexcept {
    if (late && asks_early_) waited_.store(true, std::memory_order_relaxed);
  }
  /// By the writer's thread: what it publishes next is an answer.
  bool has_waited() const noexcept { return waited_.load(std::memory_order_relaxed); }
  /// By the writer's thread, when it publishes an answer. A wait told of meanwhile may be forgotten.
  void note_answered() noexcept { waited_.store(false, std::memory_order_relaxed); }
  /// The two together: of what is published now.
  Pace pace() noexcept {
    if (!has_waited()) return Pace::streaming;
    note_answered();
    return Pace::exchanging;
  }

 private:
  const bool asks_early_;
  std::atomic<bool> waited_{false};
};

}  // namespace ferry::shm_spsc

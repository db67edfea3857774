// When a reader should wait a moment before it looks at the tail.
//
// A reader that keeps up with its writer looks after every message, and each look takes the tail's cache line away from
// the writer: both then run at the speed of that line, some 20 ns a message. A reader that lets a few messages gather
// first takes them all with one look; the writer meanwhile stores at full speed. Measured, one message a publish: 50 M
// messages/s without, 250 M with a wait of about 100 ns.
//
// The wait would be a loss in a ping-pong and for messages that come one by one. So it begins only when a number of
// looks in a row found something at once, and ends when one look has found nothing, or when waiting has not brought at
// least twice as much as not waiting did; then it is not tried again for a while. Nothing is ever said not to be there
// that is: the wait comes before the look.
#pragma once

#include <cstdint>

namespace ferry::shm_spsc {

template <class Machine>
class Gathering {
 public:
  void before_look() const noexcept {
    for (int i = 0; on_ && i < pauses; ++i) Machine::relax();
  }
  void found_nothing() noexcept { in_vain_ = true; }
  void found(std::uint64_t bytes) noexcept {
    if (in_vain_) {
      in_vain_ = on_ = false;
      quick_looks_ = 0;
    } else if (on_) {
      if (bytes >= 2 * without_) return;
      on_ = false;
      quick_looks_ = -looks_to_try_again;
    } else if (++quick_looks_ >= looks_to_begin) {
      on_ = true;
      without_ = bytes;
    }
  }

 private:
  static constexpr int pauses = 4;  // about 100 ns
  static constexpr int looks_to_begin = 8;
  static constexpr int looks_to_try_again = 256;

  bool on_ = false;
  bool in_vain_ = false;       // looks since something was found found nothing
  int quick_looks_ = 0;        // in a row
  std::uint64_t without_ = 0;  // bytes that a look found before waiting began
};

}  // namespace ferry::shm_spsc

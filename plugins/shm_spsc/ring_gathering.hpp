// When a reader should wait a moment before it looks at the tail.
//
// A reader that keeps up with its writer looks after every message, and each look takes the tail's cache line, and that
// of the next bytes, away from the writer: both then run at the speed of those lines. A reader that lets a few messages
// gather first takes them all with one look; the writer meanwhile stores at full speed. Measured, one message a
// publish: 50 M messages/s without, 250 M with a wait of about 100 ns; 5 M and 10 M between processors that are far
// apart.
//
// The wait would be a loss in a ping-pong and for messages that come one by one. So it begins only when messages have
// followed each other quickly for a while, and ends when it has not brought at least twice as much a look as not
// waiting did, be it four times as long; then it is not tried again for a while. Nothing is ever said not to be there
// that is: the wait comes before the look.
#pragma once

#include <cstdint>

namespace ferry::shm_spsc {

template <class Machine>
class Gathering {
 public:
  void before_look() const noexcept {
    for (int i = 0; i < pauses_; ++i) Machine::relax();
  }
  void found_nothing() noexcept { ++in_vain_; }
  void found(std::uint64_t bytes) noexcept {
    const bool quick = in_vain_ <= quick_looks;
    in_vain_ = 0;
    if (pauses_ > 0) {
      if (bytes >= 2 * without_) return;
      pauses_ = pauses_ == short_wait ? long_wait : 0;
      in_a_row_ = -rest;
    } else if (!quick) {
      if (in_a_row_ > 0) in_a_row_ = 0;
    } else if (++in_a_row_ >= quick_to_begin) {
      pauses_ = short_wait;
      without_ = bytes;
    }
  }

 private:
  static constexpr int short_wait = 4;  // pauses: about 100 ns
  static constexpr int long_wait = 16;
  static constexpr int quick_looks = 16;  // in vain, before something is found: about half a microsecond
  static constexpr int quick_to_begin = 8;
  static constexpr int rest = 256;

  int pauses_ = 0;
  int in_vain_ = 0;            // looks since something was found
  int in_a_row_ = 0;           // times that something was found quickly
  std::uint64_t without_ = 0;  // bytes that a look found before waiting began
};

}  // namespace ferry::shm_spsc

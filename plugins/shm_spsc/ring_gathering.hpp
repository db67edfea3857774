// When a reader should wait a moment before it looks at the tail.
//
// A reader that keeps up with its writer looks after every message, and each look takes the tail's cache line, and that
// of the next bytes, away from the writer: both then run at the speed of those lines. A reader that lets some messages
// gather first takes them all with one look; the writer meanwhile stores at full speed. Measured, one message a
// publish, on a machine whose processors are far apart: 10 M messages/s without, 28 to 40 M with a wait of 4 pauses,
// 100 M with 16 or more, which is what the writer can do.
//
// The wait would be a loss in a ping-pong and for messages that come one by one. So it begins only when messages have
// followed each other quickly for a while, and ends when it does not bring at least twice as much a look as not waiting
// did, be it four times as long; then it is not tried again for a while, and after each further failure for twice as
// long. Nothing is ever said not to be there that is: the wait comes before the look.
//
// The short wait can pay and still hold the writer up: on a Zen 5 whose processors are far apart it brought twelve
// messages a look and 17 M/s, where the long one brings a hundred and 52 M/s. So where the short one brings little the
// long one is tried from time to time, and kept while it brings so much more that the writer must have become faster.
// Where it brings more, a longer one would only let the ring fill.
#pragma once

#include <cstdint>

namespace ferry::shm_spsc {

template <class Machine>
class Gathering {
 public:
  /// True: before_look has nothing to do.
  bool is_idle() const noexcept { return pauses_ == 0 && looks_ < looks_to_judge; }
  void before_look() noexcept {
    if (looks_ == looks_to_judge) judge();
    for (int i = 0; i < pauses_; ++i) Machine::relax();
  }
  void found_nothing() noexcept { ++in_vain_; }
  /// Looks since something was found.
  std::uint32_t in_vain() const noexcept { return in_vain_; }
  /// True when what was found last came after a wait for it, as in an exchange.
  bool came_late() const noexcept { return came_late_; }
  void found(std::uint64_t bytes) noexcept {
    const bool quick = in_vain_ <= quick_looks;
    came_late_ = in_vain_ >= looks_of_a_wait;
    in_vain_ = 0;
    if (rest_ > 0) {
      --rest_;
      return;
    }
    if (pauses_ == 0 && !quick) {
      looks_ = 0;
      bytes_ = 0;
      return;
    }
    bytes_ += bytes;
    ++looks_;
  }

 private:
  static constexpr int short_wait = 16;  // pauses: from 0.3 us on AMD's processors to 0.8 us on Intel's
  static constexpr int long_wait = 64;
  /// In vain, before something is found: more than a reader needs that keeps up with a stream.
  static constexpr std::uint32_t looks_of_a_wait = 4;
  static constexpr std::uint32_t quick_looks = 16;  // in vain, before something is found: 0.2 to 0.8 us
  static constexpr int looks_to_judge = 8;
  static constexpr int first_rest = 256;  // looks that find something
  static constexpr int longest_rest = 1 << 16;
  static constexpr std::uint64_t little = looks_to_judge * 2048;  // bytes; more is enough for as many short waits
  static constexpr std::uint64_t longer_pays = 6;  // times what the short wait brings, for a wait four times as long
  static constexpr int judgements_of_short = 64;   // before the long wait is tried: a third of a millisecond or so

  void judge() noexcept {
    const bool pays = bytes_ >= 2 * without_;
    if (pauses_ > 0 && pays) next_rest_ = first_rest;
    if (pauses_ == 0) {
      without_ = bytes_;
      begin_short();
    } else if (pauses_ == short_wait) {
      if (!pays || (bytes_ < little && --short_left_ == 0)) {
        with_short_ = pays ? bytes_ : 0;
        pauses_ = long_wait;
      }
    } else if (bytes_ < longer_pays * with_short_) {
      begin_short();
    } else if (!pays) {
      pauses_ = 0;
      rest_ = next_rest_;
      if (next_rest_ < longest_rest) next_rest_ *= 2;
    }
    looks_ = 0;
    bytes_ = 0;
  }
  void begin_short() noexcept {
    pauses_ = short_wait;
    short_left_ = judgements_of_short;
  }

  bool came_late_ = false;
  int pauses_ = 0;
  std::uint32_t in_vain_ = 0;
  int rest_ = 0;  // looks that find something, before waiting is tried again
  int next_rest_ = first_rest;
  int short_left_ = 0;  // judgements of the short wait, before the long one is tried
  int looks_ = 0;       // to be judged together, and what they found
  std::uint64_t bytes_ = 0;
  std::uint64_t without_ = 0;     // what as many found before waiting began
  std::uint64_t with_short_ = 0;  // and with the short wait; 0 where that did not pay
};

}  // namespace ferry::shm_spsc

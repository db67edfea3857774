// What one direction remembers of an event loop's announcements, so that nobody pays for what is not needed: the other
// side signals only while nobody looks, and the signal is drained only when it may have been raised.
//
//   before every look      if (stand_down()) drain: whoever looks need not be signalled
//   before the loop sleeps if (stands()) { drain; if (stands()) sleep; }
//                          stand_down() as above; if (came_to_nothing()) drain;
//                          announce, settle; if (confirm) { note(); sleep }
//
// The signal stays raised until it is drained. It is drained before an announcement, so that what is raised from then
// on answers that, or while one stands: an answer takes the announcement before it raises the signal. A signal without
// anything in the ring (the other process has ended, or an answer came late) wakes the loop for nothing once, and is
// drained before it sleeps again. Belongs to the direction's thread.
#pragma once

#include <cstdint>

namespace ferry::shm_spsc {

/// @tparam Half  RingReader or RingWriter
template <class Half>
class Arming {
 public:
  /// True: the announcement was answered, so the signal is raised.
  bool stand_down(Half& half) noexcept {
    if (!announced_) [[likely]]
      return false;
    announced_ = false;
    unanswered_ = half.take_back();
    return !unanswered_;
  }
  /// True: stand_down has something to do.
  bool is_announced() const noexcept { return announced_; }
  /// True: nothing has answered the announcement since it was made.
  bool stands(const Half& half) const noexcept { return announced_ && half.is_announced(); }
  /// True: the last announcement was taken back, and nothing was found after that. Once for each.
  bool came_to_nothing(const Half& half) noexcept {
    const bool nothing = unanswered_ && half.position() == position_;
    unanswered_ = false;
    return nothing;
  }
  /// The announcement was confirmed.
  void note(const Half& half) noexcept {
    announced_ = true;
    position_ = half.position();
  }

 protected:
  /// All that it remembers, in one number while positions are small: for the model.
  std::uint64_t known_state() const noexcept {
    return position_ << 2 | std::uint64_t{unanswered_} << 1 | std::uint64_t{announced_};
  }

 private:
  bool announced_ = false;
  bool unanswered_ = false;
  std::uint64_t position_ = 0;
};

}  // namespace ferry::shm_spsc

// An event that threads and blocking calls wait for.
#pragma once

#include "ferry/abi.h"
#include "ferry/deadline.hpp"

namespace ferry {

/// An eventfd on Linux, a manual-reset event on Windows. Any thread.
class Event {
 public:
  /// Throws Error(no_resources) when the process is out of descriptors.
  Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event();

  void set() noexcept;
  void clear() noexcept;
  /// Cancels a blocking connect once set; it must then stay set. Valid as long as the event lives.
  ferry_cancel cancel() const noexcept { return {sizeof(ferry_cancel), 0, handle_}; }
  /// Sleeps until this event is set, the deadline, or `other` (which may be null or hold handle -1) is: true only then.
  /// May return early.
  bool wait_beside(const ferry_cancel* other, Deadline deadline) const noexcept;

 private:
  std::int64_t handle_;
};

}  // namespace ferry

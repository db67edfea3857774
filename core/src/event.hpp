// An event that threads and blocking calls wait for with poll(2).
#pragma once

#include "ferry/abi.h"
#include "ferry/sdk/unique_fd.hpp"

namespace ferry {

/// Readable while set. Any thread.
class Event {
 public:
  /// Throws Error(no_resources) when the process is out of descriptors.
  Event();

  void set() noexcept;
  void clear() noexcept;
  int fd() const noexcept { return fd_.get(); }
  /// Cancels a blocking connect once set; it must then stay set. Valid as long as the event lives.
  ferry_cancel cancel() const noexcept { return {sizeof(ferry_cancel), 0, fd_.get()}; }

 private:
  plugin::UniqueFd fd_;
};

}  // namespace ferry

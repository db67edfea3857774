// What the reactor needs of the system beside libuv.
#pragma once

#include <cstdint>

#include "ferry/abi.h"
#include "ferry/error.hpp"

namespace ferry {

/// Cancels a blocking connect: becomes readable for good. set() is for any thread.
class CancelEvent {
 public:
  CancelEvent();
  ~CancelEvent();
  CancelEvent(const CancelEvent&) = delete;
  CancelEvent& operator=(const CancelEvent&) = delete;

  void set() noexcept;
  ferry_cancel abi() const noexcept { return {sizeof(ferry_cancel), 0, handle_}; }

 private:
  std::int64_t handle_;
};

/// True when the loop's poll would return at once (or cannot be asked). Does not block.
bool loop_has_events(int backend_fd) noexcept;

}  // namespace ferry

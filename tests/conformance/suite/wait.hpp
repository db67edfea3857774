// Sleeping as an event loop does, and cancelling as a host does.
#pragma once

#include <cstdint>

#include "ferry/abi.h"

namespace ferry::conformance {

/// Sleeps on the pollable; false when it did not become ready within `timeout_ms`.
bool becomes_ready(const ferry_pollable& pollable, int timeout_ms);

/// The handle of a ferry_cancel.
class CancelHandle {
 public:
  CancelHandle();
  CancelHandle(const CancelHandle&) = delete;
  CancelHandle& operator=(const CancelHandle&) = delete;
  ~CancelHandle();
  void cancel();
  std::int64_t get() const noexcept { return handle_; }

 private:
  std::int64_t handle_;
};

}  // namespace ferry::conformance

// An event as shared memory would have it: the writer pays for a wake-up only when the reader said that it sleeps.
#pragma once

#include <cstdint>
#include <utility>

#include "ferry/plugin.hpp"
#include "support/test_event.hpp"

namespace ferry::test {

/// Signalled once per arming. Its calls are made under the lock of what it tells about.
class ArmedEvent {
 public:
  std::int32_t arm(bool ready) {
    event_.clear();
    armed_ = !ready;
    return ready ? FERRY_READY : FERRY_ARMED;
  }
  void signal() {
    if (std::exchange(armed_, false)) event_.set();
  }
  std::int64_t handle() const { return event_.handle(); }

 private:
  TestEvent event_;
  bool armed_ = false;
};

}  // namespace ferry::test

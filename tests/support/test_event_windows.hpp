#pragma once

#include <cstdint>

#include "ferry/sdk/handle_wait.hpp"

namespace ferry::test {

/// Stays set until it is cleared. Any thread.
class TestEvent {
 public:
  void set() { ::SetEvent(event_.get()); }
  void clear() { ::ResetEvent(event_.get()); }
  std::int64_t handle() const { return reinterpret_cast<std::int64_t>(event_.get()); }

 private:
  plugin::UniqueHandle event_ = plugin::make_event();
};

}  // namespace ferry::test

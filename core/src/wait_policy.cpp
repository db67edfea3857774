#include "ferry/wait_policy.hpp"

#include <thread>

namespace ferry {

void SpinMachine::yield() noexcept { std::this_thread::yield(); }

void WaitPolicy::too_long() noexcept {
  found_in_a_row_ = 0;
  if (mode_ != Mode::automatic) return;
  if (long_waits_ < 6) ++long_waits_;
  if (long_waits_ > 1) skip_ = std::min(std::uint32_t{1} << long_waits_, long_waits_skip_limit);
}

void WaitPolicy::contended() noexcept {
  found_in_a_row_ = 0;
  skip_ = std::min(std::uint32_t{8} << contentions_, contended_skip_limit);
  if (contentions_ < 9) ++contentions_;
}

}  // namespace ferry

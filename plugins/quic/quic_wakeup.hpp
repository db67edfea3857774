// How one waiter is told that something happened: by futex when it sleeps in a call, by eventfd when an event loop
// polls.
//
// A notifier pays for a system call only when the waiter said that it waits. One atomic holds who that is:
//   idle → sleeping or polled, by the waiter, which then looks once more whether what it waits for has come;
//   sleeping or polled → idle, by the notifier, which then wakes it.
// The notifier publishes its news before it looks at the state and the waiter sets the state before it looks for news,
// all four sequentially consistent: one of the two sees the other, so no wake-up is lost.
#pragma once

#include <atomic>
#include <cstdint>

#include "ferry/abi.h"

namespace ferry::quic {

/// One waiter at a time, any number of notifiers.
class Wakeup {
 public:
  Wakeup() noexcept = default;
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;
  ~Wakeup();

  /// The eventfd that fires after arm(), made by the first call; -1 when the process is out of descriptors.
  int descriptor() noexcept;
  /// [waiter] From here on a notify() makes descriptor() readable. False when there is no descriptor. Look for news
  /// after it, and disarm() when there is some.
  bool arm() noexcept;
  /// [waiter] From here on a notify() ends sleep(). Look for news after it, and disarm() when there is some.
  void prepare_sleep() noexcept { state_.store(sleeping, std::memory_order_seq_cst); }
  /// [waiter] Sleeps until a notify() since prepare_sleep(), or the deadline. Does not say which.
  void sleep(std::int64_t deadline_ns) noexcept;
  void disarm() noexcept { state_.store(idle, std::memory_order_relaxed); }

  /// Wakes the waiter if there is one. To be called after what it waits for was published with a sequentially
  /// consistent store. Any thread.
  void notify() noexcept {
    if (state_.load(std::memory_order_seq_cst) != idle) wake();  // pairs with arm and prepare_sleep
  }

 private:
  static constexpr std::uint32_t idle = 0;
  static constexpr std::uint32_t sleeping = 1;
  static constexpr std::uint32_t polled = 2;

  void wake() noexcept;

  std::atomic<std::uint32_t> state_{idle};
  std::atomic<int> descriptor_{-1};
  std::atomic<bool> fired_{false};  // the eventfd's count may be above 0
};

}  // namespace ferry::quic

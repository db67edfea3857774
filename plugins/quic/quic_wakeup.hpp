// How one waiter is told that something happened: by futex when it sleeps in a call, by eventfd when an event loop
// polls.
//
// A notifier pays for a system call only when the waiter said that it waits. One atomic holds who that is:
//   idle → sleeping or polled, by the waiter, which then looks once more whether what it waits for has come;
//   sleeping or polled → idle, by the notifier, which then wakes it.
// The notifier publishes its news before it looks at the state and the waiter sets the state before it looks for news,
// all four sequentially consistent: one of the two sees the other, so no wake-up is lost.
//
// An eventfd that fired must be emptied before the next sleep, or it fires for ever. The waiter reckons by itself how
// many counts it is owed, one for each time that a notifier took the state from it. A flag set by the notifier was
// rejected: set after the write it comes too late for a waiter that the write wakes on the same processor, before it is
// too early.
#pragma once

#include <atomic>
#include <cstdint>

#include "ferry/abi.h"

namespace ferry::quic {

/// Sleeps while `word` is `value`, until wake_one() after a change, or the deadline; may return for nothing.
void sleep_while(std::atomic<std::uint32_t>& word, std::uint32_t value, std::int64_t deadline_ns) noexcept;
void wake_one(std::atomic<std::uint32_t>& word) noexcept;

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
  void prepare_sleep() noexcept { become(sleeping); }
  /// [waiter] Sleeps until a notify() since prepare_sleep(), or the deadline. Does not say which.
  void sleep(std::int64_t deadline_ns) noexcept;
  void disarm() noexcept { become(idle); }
  /// [waiter] As a notify() after arm(), on the waiter's own thread: nothing is made readable. False: it had not armed,
  /// or another notify() came before.
  bool take() noexcept;
  /// [waiter] From here on a notify() makes this eventfd readable: that of the engine, whose packets the waiter looks
  /// for.
  void prepare_to_lead(int eventfd_to_write) noexcept {
    lead_fd_.store(eventfd_to_write, std::memory_order_relaxed);
    become(leading);
  }

  /// Wakes the waiter if there is one. To be called after what it waits for was published with a sequentially
  /// consistent store. Any thread.
  void notify() noexcept {
    if (state_.load(std::memory_order_seq_cst) != idle) wake();  // pairs with arm and prepare_sleep
  }

 private:
  static constexpr std::uint32_t idle = 0;
  static constexpr std::uint32_t sleeping = 1;
  static constexpr std::uint32_t polled = 2;
  static constexpr std::uint32_t leading = 3;

  void wake() noexcept;
  void become(std::uint32_t state) noexcept;

  std::atomic<std::uint32_t> state_{idle};
  std::atomic<int> descriptor_{-1};
  std::atomic<int> lead_fd_{-1};  // the same for good once it is set: a late notifier may still read it
  bool armed_ = false;            // the waiter's: it made the state `polled`, and has not looked since
  std::uint64_t owed_ = 0;        // the waiter's: counts that are in the eventfd or on their way there
};

}  // namespace ferry::quic

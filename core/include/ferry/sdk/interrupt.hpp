// A sticky interrupt that costs nothing until somebody sleeps.
//
// Ten thousand idle connections on a reactor must not cost ten thousand extra descriptors, so the eventfd that wakes a
// sleeper is made by the first sleeper. One atomic holds all there is to know, which leaves no order of two variables
// to get wrong: `none` → `raised` when the interrupt comes before any sleeper, `none` → a descriptor when the sleeper
// comes first. Both are final; a raised interrupt with a descriptor is the eventfd's own, never drained count.
#pragma once

#include <atomic>

namespace ferry::plugin {

/// Any thread may raise(); any number of threads may sleep on descriptor().
class Interrupt {
 public:
  static constexpr int none = -1;    ///< no eventfd could be made: sleep in short slices and ask again
  static constexpr int raised = -2;  ///< raised already: do not sleep

  Interrupt() noexcept = default;
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;
  ~Interrupt();

  /// Wakes every sleeper, and every later one. Idempotent and permanent. Does not block.
  void raise() noexcept;

  /// What a sleeper polls for POLLIN beside its own descriptor: an eventfd (at least 0), `raised`, or `none` when the
  /// process is out of descriptors. On Windows a manual-reset event, whose handle has 32 significant bits on every
  /// Windows. To be asked before each sleep. Does not block.
  int descriptor() noexcept;

 private:
  std::atomic<int> state_{none};
};

}  // namespace ferry::plugin

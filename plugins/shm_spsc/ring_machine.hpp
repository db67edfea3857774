// What the ring needs of the machine beside memory: the two halves of an asymmetric barrier.
//
// Before a side sleeps it says so and looks once more; after a side has published it looks whether the other sleeps.
// Each must not look before its own store is visible, or both miss each other. The usual price is a full fence in every
// publish, which waits until the stores before it have left the store buffer: the time of a cache miss, on every
// message. membarrier(2) lets the side that goes to sleep pay alone: it makes every running thread of every registered
// process pass a full barrier, and the other side's publish then needs to keep the compiler from reordering and nothing
// more. Both processes must be registered, so it is agreed at the handshake; without it both sides use sequentially
// consistent accesses.
#pragma once

#include <atomic>

#include "ring_layout.hpp"

namespace ferry::shm_spsc {

struct SharedMachine {
  template <class T>
  using Atomic = std::atomic<T>;
  /// The frequent side's half: pairs with heavy_barrier.
  static void light_barrier() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }
  /// The sleeper's half: on return every thread of the registered processes has passed a full barrier since the call.
  /// A system call of a few microseconds.
  static void heavy_barrier() noexcept;
};

/// Registers this process for heavy_barrier's effect on it; false where the system cannot. Idempotent.
bool register_for_barriers() noexcept;

}  // namespace ferry::shm_spsc

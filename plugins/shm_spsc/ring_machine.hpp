// What the ring needs of the machine beside memory: the two halves of an asymmetric barrier.
//
// Before a side sleeps it says so and looks once more; after a side has published it looks whether the other sleeps.
// Each must not look before its own store is visible, or both miss each other. The usual price is a full fence in every
// publish, which waits until the stores before it have left the store buffer: the time of a cache miss, on every
// message. membarrier(2) lets the side that goes to sleep pay alone: it makes every running thread of every registered
// process pass a full barrier, and the other side's publish then needs to keep the compiler from reordering and nothing
// more. Both processes must be registered, so it is agreed at the handshake; without it both sides use sequentially
// consistent accesses. So does, for a while, a side that shows many bytes at once or has woken the other: beside the
// copying, or the waking, its fence costs nothing, while the other's barrier would interrupt it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "ring_layout.hpp"

namespace ferry::shm_spsc {

struct SharedMachine {
  template <class T>
  using Atomic = std::atomic<T>;
  /// Shown at once, so many bytes are worth a fence, and so are that many smaller steps after them or after a wake-up.
  static constexpr std::uint64_t fence_pays_bytes = std::uint64_t{32} << 10;
  static constexpr int small_steps_fenced = 16;
  /// The frequent side's half: pairs with heavy_barrier.
  static void light_barrier() noexcept { std::atomic_signal_fence(std::memory_order_seq_cst); }
  /// The sleeper's half: on return every thread of the registered processes has passed a full barrier since the call.
  /// A system call of a few microseconds.
  static void heavy_barrier() noexcept;
  /// A pause of a spin loop, some tens of nanoseconds.
  static void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");
#endif
  }
};

/// Named through the machine: clang 14 takes equal alias templates for different ones.
using RingControl = RingControlOf<SharedMachine::Atomic>;

static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(sizeof(std::atomic<std::uint64_t>) == 8 && sizeof(std::atomic<std::uint32_t>) == 4);
static_assert(std::is_standard_layout_v<RingControl> && alignof(RingControl) == group_bytes);
static_assert(offsetof(RingControl, tail) == 0 && offsetof(RingControl, ended) == 8);
static_assert(offsetof(RingControl, head) == group_bytes && offsetof(RingControl, gone) == group_bytes + 8);
static_assert(offsetof(RingControl, writer_fences) == 12 && offsetof(RingControl, reader_fences) == group_bytes + 12);
static_assert(offsetof(RingControl, reader) == 2 * group_bytes && offsetof(RingControl, writer) == 3 * group_bytes);
static_assert(sizeof(Sleeper<SharedMachine::Atomic>) == 16 && sizeof(RingControl) == 4 * group_bytes);

/// Registers this process for heavy_barrier's effect on it; false where the system cannot. Idempotent.
bool register_for_barriers() noexcept;

}  // namespace ferry::shm_spsc

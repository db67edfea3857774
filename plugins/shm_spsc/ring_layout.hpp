// What two processes share of one direction: positions, marks and who sleeps. docs/… of the plugin specifies the whole
// segment; this is its control block, one per ring.
//
// Positions count bytes since the start and never wrap in practice (2^64 bytes); byte p stands at p modulo the
// capacity. Every group has one owner who stores to it in passing, and stands on lines of its own: what one side stores
// all the time is then never on a line that the other side only looks at. The zeroes of fresh memory are a valid, empty
// ring.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ferry::shm_spsc {

inline constexpr std::size_t line_bytes = 64;  // what a processor fetches at once
/// Bytes between two groups. Two lines keep the processor that fetches them in pairs (Intel's and AMD's adjacent-line
/// prefetchers) from dragging a neighbour along.
inline constexpr std::size_t group_bytes = 2 * line_bytes;

/// Values of RingControl::ended.
inline constexpr std::uint32_t mark_open = 0;
inline constexpr std::uint32_t mark_ended = 1;  // the last byte is published; END follows it
inline constexpr std::uint32_t mark_reset = 2;  // cut: RESET

/// A side that sleeps, or is about to. Stored by the sleeper, cleared by whichever side wakes it.
template <template <class> class Atomic>
struct Sleeper {
  Atomic<std::uint32_t> kind;  // a Wake; also the word that a futex waits on
  std::uint32_t reserved;
  Atomic<std::uint64_t> position;  // the other side's position from which on a wake-up is wanted
};

template <template <class> class Atomic>
struct RingControlOf {
  // The writer's.
  alignas(group_bytes) Atomic<std::uint64_t> tail;  // bytes published
  Atomic<std::uint32_t> ended;                      // a mark
  Atomic<std::uint32_t> writer_fences;              // not 0: each look of the writer's follows a fence
  // The reader's.
  alignas(group_bytes) Atomic<std::uint64_t> head;  // bytes consumed
  Atomic<std::uint32_t> gone;                       // not 0: nothing more is read, ever
  Atomic<std::uint32_t> reader_fences;              // as the writer's
  // Stored only around a sleep, so both sides may look at them after every step without a line moving.
  alignas(group_bytes) Sleeper<Atomic> reader;
  alignas(group_bytes) Sleeper<Atomic> writer;
};

}  // namespace ferry::shm_spsc

// Sleeping on a word of memory that two processes share.
#pragma once

#include <atomic>
#include <cstdint>

namespace ferry::shm_spsc {

/// Sleeps while `word` holds `expected`, until woken or `deadline_ns` (CLOCK_MONOTONIC). False: the deadline has
/// passed. May return true for nothing.
bool futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t deadline_ns) noexcept;

/// Wakes whoever sleeps on `word`, in any process. A system call even when nobody does.
void futex_wake(std::atomic<std::uint32_t>& word) noexcept;

}  // namespace ferry::shm_spsc

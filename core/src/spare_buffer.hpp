// One spare buffer per thread: connections and channels take it while bytes are under way and give it back when
// drained. So ten thousand idle connections hold no buffer, and a busy one pays no allocation.
#pragma once

#include <cstddef>

#include "ferry/connection.hpp"

namespace ferry {

inline constexpr std::size_t spare_buffer_bytes = std::size_t{128} << 10;

/// Uninitialised memory of malloc. Throws std::bad_alloc.
Memory allocate_memory(std::size_t size);
/// Uninitialised memory of spare_buffer_bytes: this thread's spare if it is there, else new.
Memory take_spare_buffer();
/// Keeps `buffer` (of spare_buffer_bytes, or null) as this thread's spare if it has none, else frees it.
void give_spare_buffer(Memory buffer) noexcept;

}  // namespace ferry

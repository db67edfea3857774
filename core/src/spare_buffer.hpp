// One spare buffer per thread: connections and channels take it while bytes are under way and give it back when
// drained. So ten thousand idle connections hold no buffer, and a busy one pays no allocation.
#pragma once

#include <cstddef>
#include <memory>

namespace ferry {

inline constexpr std::size_t spare_buffer_bytes = std::size_t{128} << 10;

/// Uninitialised memory of spare_buffer_bytes: this thread's spare if it is there, else new.
std::unique_ptr<std::byte[]> take_spare_buffer();
/// Keeps `buffer` (of spare_buffer_bytes) as this thread's spare if it has none, else frees it.
void give_spare_buffer(std::unique_ptr<std::byte[]> buffer) noexcept;

}  // namespace ferry

// A connection whose read does next to nothing, so that what remains of a call is the boundary.
#pragma once

#include <cstdint>

namespace null_transport {

/// Linked in: counts the call and says that `size` bytes were read. Not inlined, as no real transport's read would be.
std::int64_t read(std::uint64_t& calls, void* data, std::uint64_t size, std::int64_t deadline_ns);

}  // namespace null_transport

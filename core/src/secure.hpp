// What keys need of the operating system.
#pragma once

#include <cstddef>
#include <span>

namespace ferry {

/// Fills `memory` from the system's random generator, waiting only while that is not seeded at boot. Throws Error(io).
void fill_random(std::span<std::byte> memory);
/// Overwrites `memory` in a way that the compiler keeps.
void wipe(std::span<std::byte> memory) noexcept;

}  // namespace ferry

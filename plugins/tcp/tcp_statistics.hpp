// ferry.statistics/1 from the kernel's TCP_INFO.
#pragma once

#include <cstdint>

#include "ferry/abi.h"

namespace ferry::tcp {

/// As ferry_statistics.read, for a TCP socket. Figures that an older kernel does not have are left out.
std::int32_t read_statistics(int fd, ferry_statistic* figures, std::uint32_t capacity) noexcept;

}  // namespace ferry::tcp

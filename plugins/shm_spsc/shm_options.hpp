// What the shm transport says of itself, the same on every system but for the rows that each appends to its table.
#pragma once

#include <cstdint>
#include <iterator>

#include "ferry/plugin.hpp"
#include "offer.hpp"
#include "segment.hpp"

namespace ferry::shm_spsc {

/// The rows that every system has, in the order of their table.
enum Option : std::uint32_t { option_ring, option_pages, option_pretouch, option_mlock, common_option_count };

namespace row = plugin::option;
inline constexpr std::uint32_t reloadable = row::both | FERRY_OPTION_RELOADABLE;
inline constexpr const char* page_choices[] = {"normal", "transparent", "huge", nullptr};

inline constexpr ferry_option common_options[] = {
    row::size("ring", "2MiB", min_ring_bytes, max_ring_bytes,
              "bytes of each direction's ring, rounded up to a power of two; half of it is the largest message that is "
              "not copied",
              FERRY_OPTION_LISTEN | FERRY_OPTION_RELOADABLE),
    row::choice("pages", "normal", page_choices,
                "pages of the rings; transparent asks for large ones, huge takes reserved ones and trusts the other "
                "side; normal where they cannot be had",
                reloadable),
    row::boolean("pretouch", "false", "map every page at the start instead of at its first use", reloadable),
    row::boolean("mlock", "false", "keep the rings in memory; needs a limit (ulimit -l) of twice the ring", reloadable),
};
static_assert(std::size(common_options) == common_option_count);

inline constexpr const char* schemes[] = {"shm", nullptr};

/// For FERRY_PLUGIN.
constexpr plugin::Description describe(const ferry_option* options, std::uint32_t count,
                                       const char* ephemeral_address) {
  return {.name = "shm_spsc",
          .version = "0.1.0",
          .description = "Shared memory: a ring of bytes each way between two processes",
          .licence = "Apache-2.0",
          .schemes = schemes,
          .capabilities = FERRY_CAP_STREAM | FERRY_CAP_HALF_CLOSE | FERRY_CAP_RESET | FERRY_CAP_LOCAL |
                          FERRY_CAP_LENDING | FERRY_CAP_CREDENTIALS | FERRY_CAP_EPHEMERAL,
          .options = options,
          .option_count = count,
          .ephemeral_address = ephemeral_address};
}

PageOptions wanted_pages(plugin::Options values) noexcept;
/// A power of two.
std::uint64_t wanted_ring(plugin::Options values) noexcept;
/// Fills the common rows with what `segment` has.
void fill_granted(const Segment& segment, ferry_value* values, std::uint32_t count) noexcept;

}  // namespace ferry::shm_spsc

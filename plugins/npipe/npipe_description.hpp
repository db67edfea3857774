// What the npipe transport says of itself, the same on every system but for what the caller adds.
#pragma once

#include <cstdint>
#include <iterator>

#include "ferry/plugin.hpp"

namespace ferry::npipe {

enum Option : std::uint32_t { option_pipe_size, option_takeover, option_backlog, option_count };

namespace row = plugin::option;

inline constexpr std::int64_t max_pipe_bytes = std::int64_t{1} << 30;
inline constexpr std::int64_t max_backlog = 1 << 15;

// Ordered as enum Option.
inline constexpr ferry_option options[] = {
    row::size("pipe_size", "1MiB", 0, max_pipe_bytes,
              "bytes that each direction may hold; as much of it as the system grants; 0 leaves the system's own",
              row::both | FERRY_OPTION_RELOADABLE),
    row::boolean("takeover", "true", "replace a pipe that no process serves any more", FERRY_OPTION_LISTEN),
    row::integer("backlog", "1024", 1, max_backlog, "clients that may wait for accept; others wait to be let in",
                 FERRY_OPTION_LISTEN),
};
static_assert(std::size(options) == option_count);

inline constexpr const char* schemes[] = {"npipe", nullptr};

/// For FERRY_PLUGIN. `capabilities` are the system's own beside those that every system has.
constexpr plugin::Description describe(const char* ephemeral_address, std::uint64_t capabilities) {
  return {.name = "npipe",
          .version = "0.1.0",
          .description = "named pipes: FIFOs on POSIX systems, the system's own on Windows",
          .licence = "Apache-2.0",
          .schemes = schemes,
          .capabilities = FERRY_CAP_STREAM | FERRY_CAP_EPHEMERAL | capabilities,
          .options = options,
          .option_count = option_count,
          .ephemeral_address = ephemeral_address};
}

}  // namespace ferry::npipe

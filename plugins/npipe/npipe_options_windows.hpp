// The options of named pipes on Windows: those of every system, and three more.
#pragma once

#include <array>

#include "npipe_description.hpp"

namespace ferry::npipe {

enum WindowsOption : std::uint32_t {
  option_security = option_count,
  option_remote,
  option_any_server,
  windows_option_count
};

inline constexpr std::array<ferry_option, windows_option_count> windows_options = {
    row::size("pipe_size", "1MiB", 0, max_pipe_bytes,
              "bytes that each direction should hold, which Windows takes for a hint", FERRY_OPTION_LISTEN),
    options[option_takeover],
    options[option_backlog],
    row::text("security", nullptr,
              "who else than this user may connect, as an SDDL string, for example D:(A;;0x12019b;;;BU)",
              FERRY_OPTION_LISTEN),
    row::boolean("remote", "false", "let clients of other machines in, as far as `security` does", FERRY_OPTION_LISTEN),
    row::boolean("any_server", "false",
                 "connect also to what neither this user, an administrator nor the system serves",
                 FERRY_OPTION_CONNECT),
};

}  // namespace ferry::npipe

// The rows of the uds transport's option table, in its order; uds.cpp holds the table.
#pragma once

#include <cstdint>

#include "ferry/sdk/unix_listener.hpp"

namespace ferry::uds {

enum Option : std::uint32_t {
  option_sndbuf,
  option_rcvbuf,
  option_first_listen,
  option_count = option_first_listen + plugin::unix_listen_option_count
};

}  // namespace ferry::uds

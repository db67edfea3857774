// The rows of the shm transport's option table, in its order; shm_spsc.cpp holds the table.
#pragma once

#include <cstdint>

#include "ferry/sdk/unix_listener.hpp"

namespace ferry::shm_spsc {

enum Option : std::uint32_t {
  option_ring,
  option_pages,
  option_pretouch,
  option_mlock,
  option_first_listen,
  option_count = option_first_listen + plugin::unix_listen_option_count
};

}  // namespace ferry::shm_spsc

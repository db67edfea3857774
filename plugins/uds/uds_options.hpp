// The rows of the uds transport's option table, in its order; uds.cpp holds the table.
#pragma once

#include <cstdint>

namespace ferry::uds {

enum Option : std::uint32_t {
  option_sndbuf,
  option_rcvbuf,
  option_mode,
  option_owner,
  option_group,
  option_make_dir,
  option_takeover,
  option_backlog,
  option_allow_uid,
  option_allow_gid,
  option_count
};

}  // namespace ferry::uds

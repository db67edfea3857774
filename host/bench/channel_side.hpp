// A lane's end over Channel: the blocking plane.
#pragma once

#include <memory>

#include "bench/round.hpp"
#include "ferry/channel.hpp"

namespace ferry::bench {

std::unique_ptr<Side> make_channel_side(Connection connection);

}  // namespace ferry::bench

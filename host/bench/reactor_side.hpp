// A lane's end over ReactorConnection: one libuv loop in each process.
#pragma once

#include <memory>

#include "bench/round.hpp"
#include "ferry/reactor.hpp"

namespace ferry::bench {

std::unique_ptr<Side> make_reactor_side(Connection connection);

}  // namespace ferry::bench

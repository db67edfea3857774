// ferry.statistics/1: what the connection's path and its own accounts say.
#pragma once

#include <cstdint>

#include "quic_session.hpp"

namespace ferry::quic {

/// What the engine counts for a connection; read inside the engine, and kept when the connection is over.
std::int32_t read_statistics(Engine& engine, Session& session, ferry_statistic* figures, std::uint32_t capacity);

}  // namespace ferry::quic

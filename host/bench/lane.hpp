// A lane: one connection between the driver and a peer process that `ferry bench` starts itself.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "bench/peer.hpp"
#include "bench/round.hpp"
#include "ferry/runtime.hpp"

namespace ferry::bench {

/// What both processes need to know to make their ends.
struct LaneSpec {
  Mover mover = Mover::channel;
  std::string descriptor;  ///< to listen at, with its `spin` option; for raw lanes a name of raw_sides
  bool spinning = false;   ///< for raw lanes
  std::string directory;   ///< private, for raw socket files
  int peer_cpu = -1;       ///< -1: not pinned
};

/// What one round took.
struct RoundCost {
  std::int64_t wall_ns = 0;
  std::int64_t cpu_ns = 0;  ///< of both sides
};

/// The driver's half. Starts the peer in the constructor, ends it in the destructor.
class Lane {
 public:
  Lane(const LaneSpec& spec, Runtime& runtime, const std::vector<std::filesystem::path>& plugin_dirs);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane();

  /// Runs one round on both sides.
  RoundCost run(const Round& round, std::vector<std::int64_t>* latencies);

 private:
  std::unique_ptr<PeerProcess> peer_;
  bool broken_ = false;  // inside a round, or left one by an exception: the peer may wait for ever
  std::unique_ptr<Side> side_;
};

/// The peer process: listens, tells the driver where, and follows rounds until the driver ends it.
void serve_lane(const LaneSpec& spec, Runtime& runtime);

}  // namespace ferry::bench

// `ferry bench`: latency and throughput of transports, and their ratio to hand-written sockets in the same run.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "bench/round.hpp"
#include "ferry/runtime.hpp"

namespace ferry::bench {

struct BenchOptions {
  std::vector<std::string> targets;  ///< schemes ("uds") or descriptors to listen at
  std::vector<std::filesystem::path> plugin_dirs;
  std::vector<std::string> measures = {"ping-pong", "one-way", "bulk"};
  std::vector<std::string> planes = {"blocking", "reactor"};
  std::vector<std::string> spins = {"off", "1s"};                      ///< values of the `spin` option
  std::uint64_t size = 64;                                             ///< bytes, ping-pong and one-way
  std::uint64_t bulk_size = 1u << 20;                                  ///< bytes
  std::chrono::nanoseconds duration = std::chrono::milliseconds(400);  ///< of one round
  unsigned rounds = 5;                                                 ///< per figure; the median counts
  std::vector<int> pin;                                                ///< driver's and peer's processor
  bool baseline = false;
};

/// The same done by hand.
struct Baseline {
  std::string name;
  double value = 0;
  double p99 = 0, p999 = 0, maximum = 0;
  double cpu = 0;
  double ratio = 0;  ///< median over rounds of Ferry's value / this one of the same round
};

/// One line of the result. Values are medians over rounds: nanoseconds for ping-pong, per second otherwise.
struct Figure {
  std::string target;
  std::string measure;  ///< "ping-pong", "one-way send", "one-way send_many", "one-way reactor", "bulk"
  std::string plane;    ///< "blocking" or "reactor"
  std::string spin;
  std::uint64_t size = 0;
  std::string unit;  ///< "ns", "messages/s", "bytes/s"
  double value = 0;
  double p99 = 0, p999 = 0, maximum = 0;  ///< ping-pong, over all rounds
  double cpu = 0;                         ///< bulk: processor seconds of both sides per gigabyte (10^9)
  std::vector<Baseline> baselines;        ///< the best first; what does not carry the bytes (a bare wake-up) last
};

/// Called before each figure with how many are done and how many there are.
using Progress = std::function<void(std::size_t done, std::size_t total, const std::string& label)>;

/// Runs everything. Throws Error, or std::system_error for what the raw side meets.
std::vector<Figure> run_bench(const BenchOptions& options, Runtime& runtime, const Progress& progress);

std::string format_table(const std::vector<Figure>& figures);
std::string format_json(const BenchOptions& options, const std::vector<Figure>& figures);

}  // namespace ferry::bench

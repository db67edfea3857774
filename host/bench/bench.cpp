// Plans the figures, runs both lanes of each in turn (so that a change of the machine's speed meets both), and takes
// medians.
#include "bench/bench.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <system_error>
#include <utility>

#include "bench/lane.hpp"
#include "bench/own_certificate.hpp"
#include "bench/quantiles.hpp"
#include "bench/raw_side.hpp"
#include "bench/ring_side.hpp"
#include "ferry/endpoint.hpp"
#include "support/temporary_directory.hpp"

namespace ferry::bench {
namespace {

/// One figure to be measured: Ferry's way and the raw way of the same thing.
struct Plan {
  std::string target;
  std::string name;
  Measure measure = Measure::ping_pong;
  Mover mover = Mover::channel;
  std::string spin;
  std::uint64_t size = 0;
};

bool wants(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::vector<Plan> plan_figures(const BenchOptions& options) {
  std::vector<Plan> plans;
  const bool blocking = wants(options.planes, "blocking");
  const bool reactor = wants(options.planes, "reactor");
  for (const std::string& target : options.targets) {
    const auto add = [&](bool wanted, const char* name, Measure measure, Mover mover, std::uint64_t size) {
      if (!wanted) return;
      for (const std::string& spin : options.spins) plans.push_back({target, name, measure, mover, spin, size});
    };
    if (wants(options.measures, "ping-pong")) {
      add(blocking, "ping-pong", Measure::ping_pong, Mover::channel, options.size);
      add(reactor, "ping-pong", Measure::ping_pong, Mover::reactor, options.size);
    }
    if (wants(options.measures, "one-way")) {
      add(blocking, "one-way send", Measure::one_way, Mover::channel, options.size);
      add(blocking, "one-way send_many", Measure::one_way_batched, Mover::channel, options.size);
      add(reactor, "one-way reactor", Measure::one_way_batched, Mover::reactor, options.size);
    }
    if (wants(options.measures, "bulk")) {
      add(blocking, "bulk", Measure::bulk, Mover::channel, options.bulk_size);
      add(reactor, "bulk", Measure::bulk, Mover::reactor, options.bulk_size);
    }
  }
  return plans;
}

/// The descriptor to listen at: a bare scheme becomes the plugin's own ephemeral address.
Endpoint listening_endpoint(const std::string& target, Runtime& runtime, const test::TemporaryDirectory& directory,
                            std::size_t serial) {
  if (target.find_first_of(":/\\@") != std::string::npos) return parse_endpoint(target);
  const Plugin& plugin = runtime.registry().for_scheme(target);
  if (plugin.abi().ephemeral_address == nullptr) {
    throw Error(Status::invalid, "bench", target,
                "its plugin names no address of its own: give a descriptor to listen at");
  }
  Endpoint endpoint{target, plugin.abi().ephemeral_address, own_certificate(plugin, directory.path())};
  const auto replace = [&](std::string_view word, const std::string& by) {
    if (const auto at = endpoint.address.find(word); at != std::string::npos)
      endpoint.address.replace(at, word.size(), by);
  };
  replace("{dir}", directory.path().string());
  replace("{name}", "bench" + std::to_string(serial));
  return endpoint;
}

/// Runs growing rounds until one lasts a fifth of the wanted time, then scales: also the warm-up.
std::uint64_t calibrate(Lane& lane, Round round, std::chrono::nanoseconds duration) {
  round.count = round.measure == Measure::ping_pong ? 64 : round.measure == Measure::bulk ? 8 : 4096;
  for (;;) {
    const auto elapsed = static_cast<double>(lane.run(round, nullptr).wall_ns);
    const auto wanted = static_cast<double>(duration.count());
    if (elapsed * 5 >= wanted)
      return std::max<std::uint64_t>(1,
                                     static_cast<std::uint64_t>(static_cast<double>(round.count) * wanted / elapsed));
    round.count *= 4;
  }
}

/// One lane with its calibrated round.
struct Runner {
  Runner(const LaneSpec& spec, Round wanted, Runtime& runtime, const BenchOptions& options)
      : lane(spec, runtime, options.plugin_dirs), round(wanted) {
    round.count = calibrate(lane, round, options.duration);
  }

  /// Runs one round.
  void measure() {
    std::vector<std::int64_t> of_round;
    const bool latency = round.measure == Measure::ping_pong;
    if (latency) of_round.reserve(round.count);
    const RoundCost cost = lane.run(round, latency ? &of_round : nullptr);
    const auto seconds = static_cast<double>(cost.wall_ns) * 1e-9;
    const auto bytes = static_cast<double>(round.count * round.size);
    cpu_ns_per_byte.push_back(static_cast<double>(cost.cpu_ns) / bytes);
    if (latency) {
      std::sort(of_round.begin(), of_round.end());
      latencies.insert(latencies.end(), of_round.begin(), of_round.end());
      static const double step = clock_step_ns();
      values.push_back(interpolated_median(of_round, step));
    } else {
      values.push_back((round.measure == Measure::bulk ? bytes : static_cast<double>(round.count)) / seconds);
    }
  }

  /// Fills what a Figure and a Baseline have in common.
  template <class Result>
  void summarize(Result& result) {
    result.value = median(values);
    if (round.measure == Measure::bulk) result.cpu = median(cpu_ns_per_byte);
    if (latencies.empty()) return;
    std::sort(latencies.begin(), latencies.end());
    result.p99 = percentile(latencies, 0.99);
    result.p999 = percentile(latencies, 0.999);
    result.maximum = static_cast<double>(latencies.back());
  }

  Lane lane;
  Round round;
  std::vector<double> values;  ///< of each round, in the figure's unit
  std::vector<double> cpu_ns_per_byte;
  std::vector<std::int64_t> latencies;  ///< of all rounds
};

std::string unit_of(Measure measure) {
  if (measure == Measure::ping_pong) return "ns";
  return measure == Measure::bulk ? "bytes/s" : "messages/s";
}

Figure run_plan(const Plan& plan, const BenchOptions& options, Runtime& runtime,
                const test::TemporaryDirectory& directory, std::size_t serial) {
  Endpoint endpoint = listening_endpoint(plan.target, runtime, directory, serial);
  endpoint.options.push_back({"spin", plan.spin});
  const int peer_cpu = options.pin.size() > 1 ? options.pin[1] : -1;
  const Round round{plan.measure, 0, 0, plan.size};
  Runner ferry({plan.mover, endpoint.to_string(), false, directory.path().string(), peer_cpu}, round, runtime, options);
  std::deque<Runner> raw;
  const bool spinning = plan.spin != "off" && plan.spin != "auto";
  const std::vector<std::string> names =
      options.baseline ? raw_sides(endpoint.scheme, plan.measure, spinning) : std::vector<std::string>();
  for (const std::string& name : names) {
    raw.emplace_back(LaneSpec{Mover::raw, name, spinning, directory.path().string(), peer_cpu}, round, runtime,
                     options);
  }
  for (unsigned i = 0; i < options.rounds; ++i) {
    ferry.measure();
    for (Runner& runner : raw) runner.measure();
  }

  Figure figure;
  figure.target = plan.target;
  figure.measure = plan.name;
  figure.plane = plan.mover == Mover::reactor ? "reactor" : "blocking";
  figure.spin = plan.spin;
  figure.size = plan.size;
  figure.unit = unit_of(plan.measure);
  ferry.summarize(figure);
  for (std::size_t i = 0; i < raw.size(); ++i) {
    std::vector<double> ratios(ferry.values);
    for (std::size_t k = 0; k < ratios.size(); ++k) ratios[k] /= raw[i].values[k];
    figure.baselines.push_back({.name = names[i], .ratio = median(ratios)});
    raw[i].summarize(figure.baselines.back());
  }
  const auto is_better = [&](const Baseline& a, const Baseline& b) {
    if (is_bound(a.name) != is_bound(b.name)) return is_bound(b.name);
    return plan.measure == Measure::ping_pong ? a.value < b.value : a.value > b.value;
  };
  std::sort(figure.baselines.begin(), figure.baselines.end(), is_better);
  return figure;
}

}  // namespace

std::vector<Figure> run_bench(const BenchOptions& options, Runtime& runtime, const Progress& progress) {
  if (!options.pin.empty()) pin_to(options.pin.front());
  const test::TemporaryDirectory directory;
  const std::vector<Plan> plans = plan_figures(options);
  std::vector<Figure> figures;
  for (const Plan& plan : plans) {
    if (progress) progress(figures.size(), plans.size(), plan.target + " " + plan.name);
    figures.push_back(run_plan(plan, options, runtime, directory, figures.size()));
  }
  if (progress) progress(plans.size(), plans.size(), "");
  return figures;
}

}  // namespace ferry::bench

// The verbs `bench` and, hidden, `bench-peer`: command line, progress and output.
#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "bench/bench.hpp"
#include "bench/lane.hpp"
#include "bench/peer.hpp"
#include "context.hpp"
#include "ferry/options.hpp"
#include "ferry/wait_policy.hpp"

namespace ferry::host {
namespace {

constexpr std::int64_t largest_bytes = 1 << 30;

Runtime make_runtime(const Context& context) {
  Config config;
  config.plugins.plugin_dirs = context.plugin_dirs;
  return Runtime(std::move(config));
}

/// A progress bar on standard error, drawn only on a terminal.
class ProgressBar {
 public:
  void operator()(std::size_t done, std::size_t total, const std::string& label) const {
    if (::isatty(STDERR_FILENO) == 0 || total == 0) return;
    constexpr std::size_t width = 30;
    const std::size_t filled = width * done / total;
    std::cerr << "\r\033[K";
    if (done < total) std::cerr << '[' << std::string(filled, '#') << std::string(width - filled, '.') << "] " << label;
    std::cerr << std::flush;
  }
};

std::chrono::nanoseconds to_duration(const std::string& text) {
  std::int64_t ns = 0;
  std::string problem;
  if (!parse_duration(text, ns, problem)) refuse_value("--duration", problem);
  if (ns <= 0) refuse_value("--duration", "a round cannot last " + text);
  return std::chrono::nanoseconds(ns);
}

std::uint64_t to_size(const char* option, const std::string& text) {
  std::int64_t bytes = 0;
  std::string problem;
  if (!parse_size(text, bytes, problem)) refuse_value(option, problem);
  if (bytes < 1 || bytes > largest_bytes) refuse_value(option, "needs 1B to 1GiB");
  return static_cast<std::uint64_t>(bytes);
}

void check_spins(const std::vector<std::string>& spins) {
  WaitPolicy policy;
  std::string problem;
  for (const std::string& spin : spins) {
    if (!WaitPolicy::parse(spin, policy, problem)) throw Failure(ExitCode::usage, "--spin: " + problem);
  }
}

void check_pins(const std::vector<int>& pins, const std::vector<int>& usable) {
  if (pins.size() > 2) throw Failure(ExitCode::usage, "--pin: two processors at most");
  for (const int pin : pins) {
    if (pin == -1 || usable.empty() || std::find(usable.begin(), usable.end(), pin) != usable.end()) continue;
    throw Failure(ExitCode::usage, fmt::format("--pin: not {}: this process may use the processors {}, or -1 for any",
                                               pin, fmt::join(usable, ", ")));
  }
}

/// Adds an option that holds a comma-separated list of the given words.
void add_words(Command verb, const char* name, std::vector<std::string>& words, const char* help,
               const std::vector<std::string>& allowed) {
  verb.option(name, words, help).comma_separated().one_value_each().one_of(allowed).show_default();
}

void add_peer(Command& ferry, Context& context) {
  auto spec = std::make_shared<bench::LaneSpec>();
  auto mover = std::make_shared<unsigned>(0);
  Command verb = add_verb(ferry, context, "bench-peer", "The other process of `ferry bench`", [spec, mover, &context] {
    spec->mover = static_cast<bench::Mover>(*mover);
    Runtime runtime = make_runtime(context);
    bench::serve_lane(*spec, runtime);
    return ExitCode::ok;
  });
  verb.hide();
  verb.option("descriptor", spec->descriptor).required();
  verb.option("--mover", *mover).range(0, 2);
  verb.option("--directory", spec->directory);
  verb.option("--cpu", spec->peer_cpu);
  verb.flag("--spinning", spec->spinning);
}

}  // namespace

void add_bench(Command& ferry, Context& context) {
  auto options = std::make_shared<bench::BenchOptions>();
  Command verb = add_verb(ferry, context, "bench", "Measure latency and throughput", [options, &context] {
    options->plugin_dirs = context.plugin_dirs;
    const std::vector<int> usable = bench::usable_processors();
    check_spins(options->spins);
    check_pins(options->pin, usable);
    // Two processes that the scheduler puts on one processor now and on two then differ by more than any transport.
    if (options->pin.empty() && usable.size() > 1) options->pin = {usable[0], usable[1]};
    Runtime runtime = make_runtime(context);
    const std::vector<bench::Figure> figures = bench::run_bench(*options, runtime, ProgressBar());
    std::cout << (context.json ? bench::format_json(*options, figures) : bench::format_table(figures)) << std::flush;
    return ExitCode::ok;
  });
  verb.option("transports", options->targets, "Schemes (uds tcp) or descriptors to listen at").required();
  verb.flag("--baseline", options->baseline,
            "Measure hand-written sockets or rings in the same run and print the ratios");
  add_words(verb, "--measures", options->measures, "What to measure", {"ping-pong", "one-way", "bulk"});
  add_words(verb, "--planes", options->planes, "Through which plane", {"blocking", "reactor"});
  verb.option("--spin", options->spins, "Values of the `spin` option: off, auto, a bound such as 20us")
      .comma_separated()
      .one_value_each()
      .show_default();
  verb.option_read_by(
      "--size", [options](const std::string& text) { options->size = to_size("--size", text); },
      "Message size of ping-pong and one-way [64B]");
  verb.option_read_by(
      "--bulk-size", [options](const std::string& text) { options->bulk_size = to_size("--bulk-size", text); },
      "Message size of bulk [1MiB]");
  verb.option_read_by(
      "--duration", [options](const std::string& text) { options->duration = to_duration(text); },
      "How long one round lasts [400ms]");
  verb.option("--rounds", options->rounds, "Rounds per figure; the median counts").range(1, 1000).show_default();
  verb.option("--pin", options->pin, "Processors of the driver and of its peer; -1 leaves one to the scheduler")
      .comma_separated()
      .one_value_each();
  add_peer(ferry, context);
}

}  // namespace ferry::host

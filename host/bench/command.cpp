// The verbs `bench` and, hidden, `bench-peer`: command line, progress and output.
#include <unistd.h>

#include <array>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "bench/bench.hpp"
#include "bench/lane.hpp"
#include "context.hpp"
#include "ferry/options.hpp"

namespace ferry::host {
namespace {

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
  if (!parse_duration(text, ns, problem) || ns <= 0) refuse_value("--duration", problem);
  return std::chrono::nanoseconds(ns);
}

std::uint64_t to_size(const char* option, const std::string& text) {
  std::int64_t bytes = 0;
  std::string problem;
  if (!parse_size(text, bytes, problem)) refuse_value(option, problem);
  if (bytes < 1) refuse_value(option, "needs at least 1 byte");
  return static_cast<std::uint64_t>(bytes);
}

/// Adds an option that holds a comma-separated list of the given words.
void add_words(Command verb, const char* name, std::vector<std::string>& words, const char* help,
               const std::vector<std::string>& allowed) {
  verb.option(name, words, help).comma_separated().one_of(allowed).show_default();
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
    // Two processes that the scheduler puts on one processor now and on two then differ by more than any transport.
    if (options->pin.empty()) options->pin = bench::two_processors();
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
      .at_most(2);
  add_peer(ferry, context);
}

}  // namespace ferry::host

// The runner: finds the plugin, starts a process for each test, judges how it ended.
#include "conform.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>

#include "check.hpp"
#include "ferry/registry.hpp"
#include "in_process.hpp"
#include "process.hpp"
#include "results.hpp"
#include "suite.hpp"
#include "support/temporary_directory.hpp"

namespace ferry::conformance {
namespace {

constexpr int exit_ok = 0;
constexpr int exit_failures = 1;
constexpr int exit_usage = 2;
constexpr int exit_plugin = 4;
constexpr std::size_t shown_output_bytes = 2000;
constexpr int load_limit_s = 20;

std::string end_of_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (text.size() > shown_output_bytes) text = "…" + text.substr(text.size() - shown_output_bytes);
  return text;
}

std::string in_calls(const Report& report) {
  const std::string calls = report.calls_under_way(Side::test);
  return calls.empty() ? "" : " in " + calls;
}

void judge(Result& result, const Ending& ending, const Report& report, int limit_s) {
  result.outcome = Outcome::failed;
  if (ending.timed_out) {
    result.reason = concat("did not end within ", limit_s, " s", in_calls(report));
  } else if (ending.signal != 0) {
    result.reason = concat("killed by ", signal_name(ending.signal), in_calls(report));
  } else if (report.outcome() == Outcome::running) {
    result.reason = concat("the process exited with code ", ending.exit_code, in_calls(report));
  } else if (report.outcome() != Outcome::failed && ending.exit_code != 0) {
    result.reason = concat("the test passed and its process then exited with code ", ending.exit_code);
  } else {
    result.outcome = report.outcome();
    result.reason = report.text();
  }
}

class Runner {
 public:
  Runner(std::filesystem::path plugin, std::vector<std::string> options, std::vector<std::string> self)
      : self_(std::move(self)), options_(std::move(options)) {
    facts_.path = std::move(plugin);
  }
  const PluginFacts& facts() const noexcept { return facts_; }

  /// Runs one test in a process of its own.
  Result run(const std::string& name, const std::string& summary, int limit_s) {
    Result result;
    result.name = name;
    result.summary = summary;
    const test::TemporaryDirectory directory;
    const WorkDir work{directory.path()};
    const Report report(work.report());
    const int output = open_output(work.output());
    Spawn spawn;
    spawn.arguments = self_;
    spawn.arguments.insert(spawn.arguments.end(),
                           {facts_.path.string(), "--in-process", name, "--work-dir", work.root.string()});
    for (const std::string& option : options_) spawn.arguments.insert(spawn.arguments.end(), {"--option", option});
    spawn.standard_output = output;
    spawn.standard_error = output;
    spawn.own_group = true;
    const std::int64_t start = now_ns();
    const int pid = start_process(spawn);
    close_output(output);
    judge(result, await_group(pid, start + limit_s * second), report, limit_s);
    result.seconds = static_cast<double>(now_ns() - start) / static_cast<double>(second);
    if (result.outcome == Outcome::failed) result.output = end_of_file(work.output());
    note_facts(report);
    return result;
  }

  Result run(const Test& test, int repeat) {
    if ((facts_.capabilities & test.needs) != test.needs) {
      Result skipped{test.name, test.summary, Outcome::skipped, "", "", 0};
      skipped.reason = "needs " + capability_names(test.needs & ~facts_.capabilities);
      return skipped;
    }
    Result result = run(test.name, test.summary, test.limit_s);
    for (int round = 1; round < repeat && result.outcome == Outcome::passed; ++round) {
      const double before = result.seconds;
      result = run(test.name, test.summary, test.limit_s);
      result.seconds += before;
      if (result.outcome == Outcome::failed) result.reason += concat(" (in round ", round + 1, ")");
    }
    return result;
  }

 private:
  void note_facts(const Report& report) {
    const ReportPage& page = report.page();
    if (page.loaded == 0) return;
    facts_.name = page.name;
    facts_.version = page.version;
    facts_.capabilities = page.capabilities;
  }

  std::vector<std::string> self_;
  std::vector<std::string> options_;
  PluginFacts facts_;
};

/// A shell's pattern of `*` and `?`.
bool matches(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) return name.empty();
  if (pattern.front() == '*') {
    return matches(pattern.substr(1), name) || (!name.empty() && matches(pattern, name.substr(1)));
  }
  return !name.empty() && (pattern.front() == '?' || pattern.front() == name.front()) &&
         matches(pattern.substr(1), name.substr(1));
}

std::vector<Test> chosen_tests(const std::string& filter) {
  std::vector<Test> tests = all_tests();
  std::erase_if(tests, [&](const Test& test) { return !matches(filter, test.name); });
  return tests;
}

int list(const std::vector<Test>& tests, bool json) {
  if (json) {
    print_json(std::cout, tests);
    return exit_ok;
  }
  for (const Test& test : tests) {
    std::cout << test.name << ": " << test.summary;
    if (test.needs != 0) std::cout << " [" << capability_names(test.needs) << "]";
    std::cout << "\n";
  }
  std::cout.flush();
  return exit_ok;
}

int run_suite(const Settings& settings, const std::vector<Test>& tests, Runner& runner) {
  const Result loading = runner.run(load_only, "the plugin can be loaded", load_limit_s);
  if (loading.outcome == Outcome::skipped) {
    std::cerr << "conform " << runner.facts().path.string() << ": " << loading.reason << "; give it by --option\n";
    return exit_usage;
  }
  if (loading.outcome != Outcome::passed) {
    std::cerr << "conform " << runner.facts().path.string() << ": " << loading.reason << "\n";
    if (!loading.output.empty()) std::cerr << loading.output << "\n";
    return exit_plugin;
  }
  const bool colour = ::isatty(STDOUT_FILENO) == 1;
  if (!settings.json) print_heading(std::cout, runner.facts());
  Summary summary;
  for (const Test& test : tests) {
    summary.results.push_back(runner.run(test, settings.repeat));
    if (settings.json) continue;
    print_result(std::cout, summary.results.back(), colour);
    std::cout.flush();
  }
  summary.plugin = runner.facts();
  if (settings.json)
    print_json(std::cout, summary);
  else
    print_totals(std::cout, summary, colour);
  if (!settings.junit.empty()) {
    std::ofstream file(settings.junit);
    write_junit(file, summary);
    if (!file) throw std::runtime_error("cannot write " + settings.junit.string());
  }
  return summary.count(Outcome::failed) == 0 ? exit_ok : exit_failures;
}

std::vector<std::filesystem::path> search_path(const Settings& settings) {
  RegistryPolicy policy;
  policy.plugin_dirs = settings.plugin_dirs;
  return Registry(policy).search_path();
}

bool is_path(const std::string& plugin) { return plugin.find_first_of("/\\") != std::string::npos; }

}  // namespace

void add_options(host::Command command, Settings& settings) {
  command.option("plugin", settings.plugin, "The plugin's file, or its name in the search path").value_name("PLUGIN");
  command
      .option("--option", settings.options,
              "An option of the transport for every test, as certificates that it cannot do without")
      .value_name("NAME=VALUE")
      .one_value_each();
  command.option("--filter", settings.filter, "Run the tests whose names match this pattern of * and ?")
      .value_name("PATTERN");
  command.option("--repeat", settings.repeat, "Run each test this many times").range(1, 1'000'000);
  command.flag("--list", settings.list, "Name the tests and run none");
  command.option("--junit", settings.junit, "Write the results as JUnit XML, too").value_name("FILE");
  command.option("--in-process", settings.in_process, "Run one test right here, as for a debugger").value_name("TEST");
  command.option("--work-dir", settings.work_dir).in_group("");
  command.flag("--as-peer", settings.as_peer).in_group("");
}

std::filesystem::path find_plugin(const Settings& settings) {
  std::error_code ignored;
  if (is_path(settings.plugin) || std::filesystem::exists(settings.plugin, ignored))
    return std::filesystem::absolute(settings.plugin);
  for (const auto& dir : search_path(settings)) {
    const auto file = dir / (settings.plugin + std::string(plugin_suffix));
    if (std::filesystem::exists(file, ignored)) return file;
  }
  return std::filesystem::absolute(settings.plugin);
}

int run(const Settings& settings, const std::vector<std::string>& verb) {
  std::vector<std::string> self{own_program()};
  self.insert(self.end(), verb.begin(), verb.end());
  if (!settings.in_process.empty()) return run_in_process(settings, self);
  const std::vector<Test> tests = chosen_tests(settings.filter);
  if (tests.empty()) {
    std::cerr << "conform: no test is named like '" << settings.filter << "'; see --list\n";
    return exit_usage;
  }
  if (settings.list) return list(tests, settings.json);
  if (settings.plugin.empty()) {
    std::cerr << "conform: say which plugin: a file, or a name in the search path\n";
    return exit_usage;
  }
  const std::filesystem::path plugin = find_plugin(settings);
  std::error_code ignored;
  if (!is_path(settings.plugin) && !std::filesystem::exists(plugin, ignored)) {
    std::cerr << "conform: no file or plugin '" << settings.plugin << "'; looked in";
    for (const auto& directory : search_path(settings)) std::cerr << "\n  " << directory.string();
    std::cerr << std::endl;
    return exit_plugin;
  }
  Runner runner(plugin, settings.options, self);
  return run_suite(settings, tests, runner);
}

}  // namespace ferry::conformance

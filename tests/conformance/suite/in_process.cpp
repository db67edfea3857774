#include "in_process.hpp"

#include <algorithm>
#include <iostream>
#include <optional>

#include "peer.hpp"
#include "process.hpp"
#include "suite.hpp"
#include "support/temporary_directory.hpp"

namespace ferry::conformance {
namespace {

void copy_text(char (&out)[64], const char* text) {
  const std::string_view view(text == nullptr ? "" : text);
  out[view.copy(out, sizeof out - 1)] = '\0';
}

void note_facts(ReportPage& page, const ferry_plugin& plugin) {
  page.capabilities = plugin.capabilities;
  copy_text(page.name, plugin.name);
  copy_text(page.version, plugin.version);
  page.loaded = 1;
}

void run_test(Context& context, const std::string& name) {
  if (name == load_only) {
    // Told once, instead of by each test that listens.
    if (const std::string missing = context.transport().options().missing_to_listen(); !missing.empty()) skip(missing);
    return;
  }
  const std::vector<Test> tests = all_tests();
  const auto test = std::find_if(tests.begin(), tests.end(), [&](const Test& t) { return t.name == name; });
  require(test != tests.end(), "there is no test named ", name);
  if (!context.has(test->needs)) skip("the plugin lacks a capability that the test needs");
  test->run(context);
}

}  // namespace

int run_in_process(const Settings& settings, const std::vector<std::string>& self) {
  const bool by_runner = !settings.work_dir.empty();
  std::optional<test::TemporaryDirectory> own;  // a test that a person starts; the runner's get theirs from the runner
  if (!by_runner) own.emplace();
  const WorkDir work{by_runner ? settings.work_dir : own->path()};
  if (by_runner) be_a_test_process();
  std::filesystem::create_directories(work.files());
  Report report(work.report());
  set_report(report, settings.as_peer ? Side::peer : Side::test);
  set_outcome_report(report, settings.as_peer ? "in the second process: " : "", !by_runner);
  std::vector<std::string> again = self;
  const std::filesystem::path plugin = find_plugin(settings);
  again.insert(again.end(), {plugin.string(), "--in-process", settings.in_process, "--work-dir", work.root.string()});
  for (const std::string& option : settings.options) again.insert(again.end(), {"--option", option});
  try {
    set_transport_options(settings.options);
    Context context(plugin, work.files(), again);
    if (settings.as_peer) return serve_commands(context);
    note_facts(report.page(), context.plugin());
    run_test(context, settings.in_process);
  } catch (const std::exception& error) {
    fail(error.what());
  }
  report.finish(Outcome::passed, "");
  if (!by_runner) std::cout << settings.in_process << " passed" << std::endl;
  return 0;
}

}  // namespace ferry::conformance

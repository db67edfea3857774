// `ferry check`: every problem of a config file at once. `ferry schema`: the JSON Schema an editor checks it with.
#include <filesystem>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "context.hpp"
#include "json.hpp"
#include "logging.hpp"
#include "plugin_survey.hpp"

namespace ferry::host {
namespace {

Json problems_as_json(const std::string& file, const ConfigError& error) {
  Json problems = Json::array();
  for (const auto& problem : error.problems()) {
    problems.push_back({{"file", file},
                        {"line", problem.line},
                        {"column", problem.column},
                        {"pointer", problem.pointer},
                        {"message", problem.message}});
  }
  return {{"ok", false}, {"problems", problems}};
}

ExitCode check(const Context& context, const std::string& file) {
  if (!context.json) {
    (void)context.load_checked_config(file);  // main prints the problems
    std::cout << file << ": ok" << std::endl;
    return ExitCode::ok;
  }
  try {
    (void)context.load_checked_config(file);
    print_json({{"ok", true}, {"problems", Json::array()}});
    return ExitCode::ok;
  } catch (const ConfigError& error) {
    print_json(problems_as_json(file, error));
    return ExitCode::config;
  }
}

/// Bad plugins are met in a child and left out.
std::vector<const Plugin*> load_good(Registry& registry) {
  std::vector<const Plugin*> good;
  PluginSurvey survey;
  for (const std::filesystem::path& file : plugin_candidates(registry.search_path())) {
    const auto [probe, hidden_by] = survey.look(file);
    if (!probe.loaded) log_line(FERRY_LOG_WARNING, "the schema is without {}: {}", file.string(), probe.reason);
    if (probe.loaded && hidden_by.empty()) good.push_back(&registry.load(file));
  }
  return good;
}

ExitCode schema(const Context& context) {
  Registry registry(context.registry_policy());
  std::cout << config_schema(load_good(registry)) << std::endl;
  return ExitCode::ok;
}

}  // namespace

void add_check(Command& ferry, Context& context) {
  const auto file = std::make_shared<std::string>();
  Command verb = add_verb(ferry, context, "check", "Check a config file: every problem at once, nothing started",
                          [&context, file] { return check(context, *file); });
  verb.option("CONFIG", *file, "The config file").required();
}

void add_schema(Command& ferry, Context& context) {
  add_verb(ferry, context, "schema", "Print the JSON Schema of the config, with the options of the plugins found",
           [&context] { return schema(context); });
}

}  // namespace ferry::host

// `ferry inspect`: every plugin that can be found, or one of them. Each is met in a child process, so that one that
// crashes or hangs is reported, not suffered.
#include <spdlog/fmt/fmt.h>

#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "context.hpp"
#include "ferry/did_you_mean.hpp"
#include "json.hpp"
#include "plugin_survey.hpp"

namespace ferry::host {
namespace {

namespace fs = std::filesystem;

// A path names one file; a word the plugin of that name in the search path; nothing means all of them.
std::vector<fs::path> files_to_inspect(const Registry& registry, const std::string& which) {
  if (which.find('/') != std::string::npos) return {which};
  std::vector<fs::path> files;
  std::vector<std::string> known;
  for (fs::path& file : plugin_candidates(registry.search_path())) {
    known.push_back(file.stem().string());
    if (which.empty() || file.stem() == which) files.push_back(std::move(file));
  }
  if (!files.empty()) return files;
  if (std::error_code ignored; !which.empty() && fs::exists(which, ignored)) {
    throw Failure(ExitCode::usage, "a plugin's name has no file to it; write ./" + which + " for the file here");
  }
  std::string searched;
  for (const fs::path& directory : registry.search_path()) searched += "\n  " + directory.string();
  std::vector<std::string_view> names(known.begin(), known.end());
  throw Failure(ExitCode::plugin, "no plugin" + (which.empty() ? "" : " '" + which + "'" + did_you_mean(which, names)) +
                                      " in any of:" + searched);
}

std::string joined(const Json& list) {
  std::string text;
  for (const auto& item : list) text += (text.empty() ? "" : " ") + item.get<std::string>();
  return text;
}

std::string text_of(const Json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

std::string abi_of(const Json& plugin) {
  return fmt::format("{}.{}", plugin["abi"].value("major", 0), plugin["abi"].value("minor", 0));
}

void print_option(const Json& option) {
  const std::string fallback =
      option.contains("default") && !option["default"].is_null() ? text_of(option["default"]) : "-";
  std::cout << fmt::format("    {:<18} {:<9} {:<12} {}\n", option.value("name", ""), option.value("type", ""), fallback,
                           option.value("help", ""));
}

void print_text(const fs::path& file, const PluginSurvey::Finding& finding) {
  if (!finding.probe.loaded) {
    std::cout << file.string() << "\n  REFUSED: " << finding.probe.reason << "\n";
    return;
  }
  if (!finding.hidden_by.empty()) {
    std::cout << file.string() << "\n  not used: " << finding.hidden_by.string() << " comes first\n";
    return;
  }
  const Json plugin = Json::parse(finding.probe.description);
  std::cout << fmt::format(
      "{} {} (ABI {}): {}\n  file          {}\n  schemes       {}\n  capabilities  {}\n  options\n",
      plugin.value("name", ""), plugin.value("version", ""), abi_of(plugin), plugin.value("description", ""),
      file.string(), joined(plugin["schemes"]), joined(plugin["capabilities"]));
  for (const auto& option : plugin["options"]) print_option(option);
}

ExitCode inspect(const Context& context, const std::string& which) {
  const Registry registry(context.registry_policy());
  Json all = Json::array();
  bool refused = false;
  PluginSurvey survey;
  for (const fs::path& file : files_to_inspect(registry, which)) {
    const PluginSurvey::Finding finding = survey.look(file);
    const ProbeResult& result = finding.probe;
    refused = refused || !result.loaded;
    if (!context.json) {
      print_text(file, finding);
      continue;
    }
    Json row = {{"path", file.string()}, {"loaded", result.loaded}};
    result.loaded ? row["plugin"] = Json::parse(result.description) : row["reason"] = result.reason;
    if (!finding.hidden_by.empty()) row["hidden_by"] = finding.hidden_by.string();
    all.push_back(std::move(row));
  }
  if (context.json) print_json(all);
  return refused ? ExitCode::plugin : ExitCode::ok;
}

}  // namespace

void add_inspect(Command& ferry, Context& context) {
  const auto which = std::make_shared<std::string>();
  Command verb =
      add_verb(ferry, context, "inspect", "List the plugins found, with their options, or why they were refused",
               [&context, which] { return inspect(context, *which); });
  verb.option("PLUGIN", *which, "A plugin's name or the path of its file; all of the search path when not given");
}

}  // namespace ferry::host

#include "usage.hpp"

#include <string_view>
#include <vector>

#include "ferry/did_you_mean.hpp"

namespace ferry::host {
namespace {

std::vector<std::string> verb_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands(nullptr)) names.push_back(verb->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::string suggestion(const std::string& word, const std::vector<std::string>& candidates) {
  return did_you_mean(word, std::vector<std::string_view>(candidates.begin(), candidates.end()));
}

}  // namespace

std::string explain_usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const auto chosen = app.get_subcommands();
  const CLI::App& verb = chosen.empty() ? app : *chosen.front();
  const std::string hint =
      "\nRun 'ferry " + (chosen.empty() ? "" : verb.get_name() + " ") + "--help' to see what there is.";
  const auto unknown = app.remaining(true);
  if (unknown.empty() || unknown.front() == "--") {
    return (app.get_subcommands().empty() ? "which verb?" : std::string(error.what())) + hint;
  }
  const std::string& word = unknown.front();
  if (word.size() > 1 && word.front() == '-') {
    const std::string name = word.substr(0, word.find('='));
    return "unknown option '" + name + "'" + suggestion(name, option_names(verb)) + hint;
  }
  if (chosen.empty()) return "unknown verb '" + word + "'" + suggestion(word, verb_names(app)) + hint;
  return "unexpected argument '" + word + "'" + hint;
}

}  // namespace ferry::host

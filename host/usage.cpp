#include "usage.hpp"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

namespace ferry::host {
namespace {

// Levenshtein distance; one row is enough because each cell needs only its left, upper and upper-left neighbours.
std::size_t edit_distance(std::string_view from, std::string_view to) {
  std::vector<std::size_t> row(to.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < from.size(); ++i) {
    std::size_t upper_left = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < to.size(); ++j) {
      const std::size_t upper = row[j + 1];
      row[j + 1] = std::min({upper + 1, row[j] + 1, upper_left + (from[i] == to[j] ? 0u : 1u)});
      upper_left = upper;
    }
  }
  return row.back();
}

// The nearest candidate, or nothing when none is near enough to be meant.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) best_distance = distance, best = candidate;
  }
  return best;
}

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

std::string with_suggestion(std::string message, const std::string& word, const std::vector<std::string>& candidates) {
  const std::string meant = nearest(word, candidates);
  if (!meant.empty()) message += "; did you mean '" + meant + "'?";
  return message;
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
    return with_suggestion("unknown option '" + name + "'", name, option_names(verb)) + hint;
  }
  if (chosen.empty()) return with_suggestion("unknown verb '" + word + "'", word, verb_names(app)) + hint;
  return "unexpected argument '" + word + "'" + hint;
}

}  // namespace ferry::host

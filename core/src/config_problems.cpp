#include "config_problems.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "text.hpp"

namespace ferry {
namespace {

std::string list(const std::string& file, const std::vector<ConfigError::Problem>& problems) {
  std::string lines = problems.size() == 1 ? "1 problem" : std::to_string(problems.size()) + " problems";
  for (const ConfigError::Problem& problem : problems) {
    lines += "\n" + file + ":" + std::to_string(problem.line) + ":" + std::to_string(problem.column);
    lines += (problem.pointer.empty() ? "" : " " + problem.pointer) + ": " + problem.message;
  }
  return lines;
}

}  // namespace

ConfigError::ConfigError(const std::string& file, std::vector<Problem> problems)
    : Error(Status::invalid, "read configuration", file, list(file, problems)), problems_(std::move(problems)) {}

ConfigSource::ConfigSource(std::string_view text, std::string file) : text_(text), file_(std::move(file)) {
  line_begins_.push_back(0);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') line_begins_.push_back(i + 1);
  }
}

ConfigLocation ConfigSource::locate(std::size_t offset, std::string pointer) const {
  offset = std::min(offset, text_.size());
  const auto after = std::upper_bound(line_begins_.begin(), line_begins_.end(), offset);
  const auto line = static_cast<std::size_t>(after - line_begins_.begin());
  const std::string_view before = text_.substr(line_begins_[line - 1], offset - line_begins_[line - 1]);
  const auto characters = std::count_if(before.begin(), before.end(), [](char c) { return (c & 0xc0) != 0x80; });
  return {file_, line, static_cast<std::size_t>(characters) + 1, std::move(pointer)};
}

void ConfigProblems::add(const ConfigLocation& location, std::string message) {
  if (problems_.size() > most_problems) return;
  const auto is_known = [&](const ConfigError::Problem& known) {
    return known.line == location.line && known.column == location.column && known.message == message;
  };
  if (std::any_of(problems_.begin(), problems_.end(), is_known)) return;  // a core option is looked at twice
  if (problems_.size() == most_problems)
    message = "and more; only the first " + std::to_string(most_problems) + " problems found are listed";
  problems_.push_back({location.line, location.column, location.pointer, std::move(message)});
}

void ConfigProblems::throw_if_any(const std::string& file) {
  if (problems_.empty()) return;
  std::stable_sort(problems_.begin(), problems_.end(), [](const auto& a, const auto& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  throw ConfigError(file, std::move(problems_));
}

std::string extend_pointer(const std::string& pointer, std::string_view token) {
  std::string out = pointer + "/";
  for (const char c : text::excerpt(token)) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace ferry

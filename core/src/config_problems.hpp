// Where things stand in a configuration file, and the list of what is wrong with it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "ferry/config.hpp"

namespace ferry {

/// A file's text with its lines found. Refers to the text.
class ConfigSource {
 public:
  ConfigSource(std::string_view text, std::string file);
  std::string_view text() const noexcept { return text_; }
  const std::string& file() const noexcept { return file_; }
  ConfigLocation locate(std::size_t offset, std::string pointer) const;

 private:
  std::string_view text_;
  std::string file_;
  std::vector<std::size_t> line_begins_;
};

/// Collects every problem, up to a bound that keeps a hostile file from making a message of its own size.
class ConfigProblems {
 public:
  void add(const ConfigLocation& location, std::string message);
  bool empty() const noexcept { return problems_.empty(); }
  /// Throws ConfigError in the order of the file when there is any problem.
  void throw_if_any(const std::string& file);

 private:
  static constexpr std::size_t most_problems = 200;
  std::vector<ConfigError::Problem> problems_;
};

/// What of the configuration only the plugins can judge: that every scheme loads, every address is well formed, every
/// option is known and in range, and that the options go together and with the files that they name. Opens no endpoint.
void check_against_plugins(const Config& config, Registry& registry, ConfigProblems& problems);

/// `pointer` extended by one reference token, escaped as RFC 6901 says and fit to print.
std::string extend_pointer(const std::string& pointer, std::string_view token);

}  // namespace ferry

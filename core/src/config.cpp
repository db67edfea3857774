#include "ferry/config.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>

#include "config_problems.hpp"
#include "config_reader.hpp"
#include "json_tree.hpp"

namespace ferry {

namespace {

/// What of the text could be read.
Config read_text(std::string_view text, const std::string& file, ConfigProblems& problems) {
  const ConfigSource source(text, file);
  JsonNode root;
  return parse_json(source, root, problems) ? ConfigReader(source, problems).read(root) : Config();
}

std::string text_of(const std::filesystem::path& file) {
  const auto fail = [&](const char* what_to_do) {
    const int error = errno;
    const Status status = error == ENOENT ? Status::not_found : error == EACCES ? Status::permission : Status::io;
    throw Error(status, "read configuration", file.string(), what_to_do, error);
  };
  std::error_code unknown;
  const std::filesystem::file_status found = std::filesystem::status(file, unknown);
  if (std::filesystem::exists(found) && !std::filesystem::is_regular_file(found)) {
    // A FIFO without a writer would hold a server up in the middle of a reload.
    throw Error(Status::invalid, "read configuration", file.string(), "it is not a regular file");
  }
  std::ifstream stream(file, std::ios::binary);  // not fopen: Windows paths are UTF-16
  if (!stream) fail("name a file that can be read");
  std::string text(max_config_bytes + 1, '\0');  // one more, so that parse sees that the file is too large
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) fail("name a regular file");
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

}  // namespace

Config Config::parse(std::string_view text, const std::string& file) {
  ConfigProblems problems;
  Config config = read_text(text, file, problems);
  problems.throw_if_any(file);
  return config;
}

Config Config::load(const std::filesystem::path& file) { return parse(text_of(file), file.string()); }

Config Config::load_checked(const std::filesystem::path& file, const std::vector<std::filesystem::path>& plugin_dirs) {
  ConfigProblems problems;
  Config config = read_text(text_of(file), file.string(), problems);
  config.plugins.plugin_dirs.insert(config.plugins.plugin_dirs.begin(), plugin_dirs.begin(), plugin_dirs.end());
  Registry registry(config.plugins);
  check_against_plugins(config, registry, problems);
  problems.throw_if_any(file.string());
  return config;
}

}  // namespace ferry

#include "context.hpp"

#include <system_error>
#include <utility>

#include "ferry/log.hpp"
#include "logging.hpp"

namespace ferry::host {

RegistryPolicy Context::registry_policy() const {
  RegistryPolicy policy;
  policy.plugin_dirs = plugin_dirs;
  return policy;
}

void Context::configure_logging_for(const Config& config) const {
  configure_logging(log_level.empty() ? config.log.level : log_level,
                    log_format.empty() ? config.log.format : log_format);
}

Config Context::load_checked_config(const std::filesystem::path& file) const {
  Config config = Config::load_checked(file, plugin_dirs);
  configure_logging_for(config);
  return config;
}

Runtime Context::make_runtime(const std::filesystem::path& file) const {
  Config config;
  if (!file.empty()) {
    config = Config::load(file);
    configure_logging_for(config);
  }
  config.plugins.plugin_dirs.insert(config.plugins.plugin_dirs.begin(), plugin_dirs.begin(), plugin_dirs.end());
  return Runtime(std::move(config));
}

void add_common_options(Command command, Context& context) {
  const std::string group = "Common options";
  command.flag("--json", context.json, "Print results as JSON on standard output").in_group(group);
  command.option("--log-level", context.log_level, "What to log on standard error")
      .one_of({"trace", "debug", "info", "warning", "error", "off"})
      .in_group(group);
  command.option("--log-format", context.log_format, "How to log").one_of({"text", "json"}).in_group(group);
  command
      .list_read_by(
          "--plugin-dir",
          [&context](const std::vector<std::string>& dirs) {
            context.plugin_dirs.insert(context.plugin_dirs.end(), dirs.begin(), dirs.end());
          },
          "Search this folder for plugins first; may be given several times")
      .value_name("DIR")
      .in_group(group);
}

namespace {

void warn_of_missing(const std::vector<std::filesystem::path>& plugin_dirs) {
  for (const std::filesystem::path& directory : plugin_dirs) {
    std::error_code unknown;
    if (std::filesystem::is_directory(directory, unknown)) continue;
    log_line(FERRY_LOG_WARNING, "--plugin-dir {} is no folder", directory.string());
  }
}

}  // namespace

Command add_verb(Command& ferry, Context& context, const std::string& name, const std::string& description,
                 std::function<ExitCode()> action) {
  Command verb = ferry.verb(name, description, [&context, action = std::move(action)] {
    context.action = [&context, action] {
      warn_of_missing(context.plugin_dirs);
      return action();
    };
  });
  add_common_options(verb, context);
  return verb;
}

}  // namespace ferry::host

#include "context.hpp"

#include <utility>

#include "ferry/log.hpp"

namespace ferry::host {

RegistryPolicy Context::registry_policy() const {
  RegistryPolicy policy;
  policy.plugin_dirs = plugin_dirs;
  return policy;
}

Config Context::load_config(const std::filesystem::path& file) const {
  Config config = Config::load(file);
  config.plugins.plugin_dirs.insert(config.plugins.plugin_dirs.begin(), plugin_dirs.begin(), plugin_dirs.end());
  configure_logging(log_level.empty() ? config.log.level : log_level,
                    log_format.empty() ? config.log.format : log_format);
  return config;
}

Runtime Context::make_runtime(const std::filesystem::path& file) const {
  if (!file.empty()) return Runtime(load_config(file));
  Config config;
  config.plugins = registry_policy();
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

Command add_verb(Command& ferry, Context& context, const std::string& name, const std::string& description,
                 std::function<ExitCode()> action) {
  Command verb = ferry.verb(name, description, [&context, action = std::move(action)] { context.action = action; });
  add_common_options(verb, context);
  return verb;
}

}  // namespace ferry::host

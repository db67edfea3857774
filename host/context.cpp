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

void add_common_options(CLI::App& app, Context& context) {
  const std::string group = "Common options";
  app.add_flag("--json", context.json, "Print results as JSON on standard output")->group(group);
  app.add_option("--log-level", context.log_level, "What to log on standard error")
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error", "off"}))
      ->group(group);
  app.add_option("--log-format", context.log_format, "How to log")
      ->check(CLI::IsMember({"text", "json"}))
      ->group(group);
  app.add_option_function<std::vector<std::string>>(
         "--plugin-dir",
         [&context](const std::vector<std::string>& dirs) {
           context.plugin_dirs.insert(context.plugin_dirs.end(), dirs.begin(), dirs.end());
         },
         "Search this folder for plugins first; may be given several times")
      ->type_name("DIR")
      ->allow_extra_args(false)
      ->group(group);
}

CLI::App* add_verb(CLI::App& app, Context& context, const std::string& name, const std::string& description,
                   std::function<ExitCode()> action) {
  CLI::App* verb = app.add_subcommand(name, description);
  verb->footer("");
  add_common_options(*verb, context);
  verb->final_callback([&context, action = std::move(action)] { context.action = action; });
  return verb;
}

}  // namespace ferry::host

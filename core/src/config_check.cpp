// What of the configuration only the plugins can judge: schemes, addresses and their options.
#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config_problems.hpp"
#include "ferry/config.hpp"
#include "ferry/did_you_mean.hpp"
#include "ferry/log.hpp"
#include "ferry/registry.hpp"
#include "plugin_call.hpp"
#include "runtime_state.hpp"

namespace ferry {
namespace {

class PluginChecker {
 public:
  PluginChecker(const Config& config, Registry& registry, ConfigProblems& problems) noexcept
      : config_(config), registry_(registry), problems_(problems) {}

  void check_settings(const std::string& scheme, const std::vector<OptionSetting>& settings) {
    for (const OptionSetting& setting : settings) {
      if (const Plugin* const plugin = find(scheme, setting.location)) check(*plugin, setting, setting.location);
    }
  }

  /// Links may be those of another program, whose files need not be there for us; services are our own.
  enum class Use { link, listen, connect };
  void check_endpoints(const std::vector<ConfiguredEndpoint>& endpoints, Use use) {
    for (const ConfiguredEndpoint& configured : endpoints) check_endpoint(configured, use);
  }

 private:
  /// The scheme's plugin, or null; that it does not load is reported where it is needed first.
  const Plugin* find(const std::string& scheme, const ConfigLocation& location) {
    const auto known = plugins_.find(scheme);
    if (known != plugins_.end()) return known->second;
    const Plugin*& plugin = plugins_[scheme];
    try {
      plugin = &registry_.for_scheme(scheme);
    } catch (const Error& error) {
      problems_.add(location, "no plugin for '" + scheme + "': " + error.detail());
    }
    return plugin;
  }

  void check(const Plugin& plugin, OptionSetting setting, const ConfigLocation& location) {
    setting.location = {};  // the problem carries it
    std::vector<std::string> found;
    (void)OptionValues::resolve(plugin.options(), {&setting, 1}, found, core_options());
    for (std::string& message : found) problems_.add(location, std::move(message));
  }

  void check_endpoint(const ConfiguredEndpoint& configured, Use use) {
    if (configured.endpoint.scheme == local_scheme) return;
    const Plugin* const plugin = find(configured.endpoint.scheme, configured.location);
    if (plugin == nullptr) return;
    try {
      plugin->check_address(configured.endpoint.address);
    } catch (const Error& error) {
      problems_.add(configured.location, error.detail());
    }
    for (const OptionSetting& setting : configured.settings) check(*plugin, setting, setting.location);
    for (const EndpointOption& option : configured.endpoint.options) {
      check(*plugin, {option.name, option.value, OptionSource::descriptor, {}, SettingForm::text, configured.is_hidden},
            configured.location);
    }
    check_together(*plugin, configured, use);
  }

  /// What only the plugin can say, of all options at once and of the files that they name; opens no endpoint.
  void check_together(const Plugin& plugin, const ConfiguredEndpoint& configured, Use use) {
    std::vector<std::string> known;
    const std::vector<OptionSetting> settings = settings_of(config_, plugin, configured);
    const OptionValues options = OptionValues::resolve(plugin.options(), settings, known, core_options());
    if (!known.empty()) return;  // told one by one
    const std::string missing = use == Use::listen ? options.missing_to_listen() : "";
    if (!missing.empty()) problems_.add(configured.location, missing);
    try {
      const TransportHandle transport = create_transport(plugin, options);
      if (!FERRY_HAS(transport->ops, ferry_transport_ops, effective)) return;
      std::vector<ferry_value> granted(options.size());
      const ferry_values values = options.abi();
      checked_call("check", configured.endpoint.to_string(), [&](ferry_error* error) {
        return transport->ops->effective(transport.get(), &values, granted.data(), options.size(), error);
      });
    } catch (const Error& error) {
      if (use == Use::link && error.status() != Status::invalid) return;
      // The plugin's words may have values in them, and those of variables stay out of messages.
      const bool hidden =
          std::any_of(settings.begin(), settings.end(), [](const OptionSetting& setting) { return setting.is_hidden; });
      problems_.add(configured.location,
                    hidden ? "the transport does not take these options; 'ferry explain' says why" : error.detail());
    }
  }

  const Config& config_;
  Registry& registry_;
  ConfigProblems& problems_;
  std::map<std::string, const Plugin*> plugins_;
};

/// Names of the policy that fit no file: mistyped, most likely, and a pin that pins nothing protects nobody.
void warn_of_strangers(const RegistryPolicy& policy, const Registry& registry) {
  std::vector<std::string> files;
  for (const std::filesystem::path& file : plugin_candidates(registry.search_path())) {
    files.push_back(file.stem().string());
  }
  const std::vector<std::string_view> names(files.begin(), files.end());
  const auto check_name = [&](const char* key, const std::string& name) {
    if (std::find(names.begin(), names.end(), name) != names.end()) return;
    log(FERRY_LOG_WARNING, "ferry.config",
        std::string(key) + " names '" + name + "', and no folder of the search path has " + name +
            std::string(plugin_suffix) + did_you_mean(name, names));
  };
  for (const std::string& name : policy.allow) check_name("plugins.allow", name);
  for (const auto& [name, digest] : policy.sha256) check_name("plugins.sha256", name);
  for (const std::filesystem::path& directory : policy.plugin_dirs) {
    std::error_code unknown;
    if (std::filesystem::is_directory(directory, unknown)) continue;
    log(FERRY_LOG_WARNING, "ferry.config", "plugin_dirs names " + directory.string() + ", which is no folder");
  }
}

}  // namespace

void check_against_plugins(const Config& config, Registry& registry, ConfigProblems& problems) {
  warn_of_strangers(config.plugins, registry);
  PluginChecker checker(config, registry, problems);
  for (const auto& [scheme, settings] : config.transports) checker.check_settings(scheme, settings);
  for (const auto& [name, link] : config.links) checker.check_endpoints(link.endpoints, PluginChecker::Use::link);
  for (const ServiceConfig& service : config.services) {
    checker.check_endpoints(service.listen, PluginChecker::Use::listen);
    if (service.to_link.empty()) checker.check_endpoints(service.to, PluginChecker::Use::connect);
  }
}

}  // namespace ferry

#include "ferry/runtime.hpp"

#include <algorithm>

#include "plugin_call.hpp"
#include "runtime_state.hpp"

namespace ferry {
namespace {

Connection::Settings connection_settings(const OptionValues& core, std::vector<std::string>& problems) {
  const auto value = [&](CoreOption option) -> const ferry_value& { return core[static_cast<std::uint32_t>(option)]; };
  Connection::Settings settings;
  std::string problem;
  if (!WaitPolicy::parse(value(CoreOption::spin).text, settings.wait, problem)) problems.push_back(problem);
  settings.linger_ns = value(CoreOption::linger).integer;
  settings.max_message = static_cast<std::uint64_t>(value(CoreOption::max_message).integer);
  settings.handshake_ns = value(CoreOption::handshake_deadline).integer;
  return settings;
}

// Distinct for distinct values; not for printing, because it holds secrets.
std::string key_of(const Plugin& plugin, const OptionValues& options) {
  std::string key(plugin.name());
  for (std::uint32_t index = 0; index < options.size(); ++index) {
    const ferry_value& value = options[index];
    const std::string text = value.text == nullptr ? "" : value.text;
    key += '\n' + std::to_string(value.is_set) + ' ' + std::to_string(value.integer) + ' ' +
           std::to_string(text.size()) + ' ' + text;
  }
  return key;
}

}  // namespace

std::vector<OptionSetting> settings_of(const Config& config, const Plugin& plugin, const ConfiguredEndpoint& endpoint) {
  std::vector<OptionSetting> settings;
  for (const auto& [scheme, defaults] : config.transports) {
    if (plugin.serves(scheme)) settings.insert(settings.end(), defaults.begin(), defaults.end());
  }
  settings.insert(settings.end(), endpoint.settings.begin(), endpoint.settings.end());
  for (const EndpointOption& option : endpoint.endpoint.options) {
    settings.push_back({option.name, option.value, OptionSource::descriptor, endpoint.location, SettingForm::text,
                        endpoint.is_hidden});
  }
  return settings;
}

ferry_transport* Runtime::State::transport_for(const Plugin& plugin, const OptionValues& options) {
  const std::lock_guard lock(mutex);
  TransportHandle& handle = transports[key_of(plugin, options)];
  if (handle == nullptr) handle = create_transport(plugin, options);
  return handle.get();
}

Runtime Runtime::load(const std::filesystem::path& file) { return Runtime(Config::load(file)); }
Runtime::Runtime(Config config) : state_(std::make_unique<State>(std::move(config))) {}
Runtime::Runtime(Runtime&&) noexcept = default;
Runtime& Runtime::operator=(Runtime&&) noexcept = default;
Runtime::~Runtime() = default;

Registry& Runtime::registry() noexcept { return state_->registry; }
const Config& Runtime::config() const noexcept { return state_->config; }

ResolvedEndpoint Runtime::resolve(const ConfiguredEndpoint& wanted) {
  if (wanted.endpoint.scheme == local_scheme) return resolve(local_endpoints(wanted, state_->registry).front());
  ResolvedEndpoint resolved;
  resolved.endpoint = wanted.endpoint;
  resolved.plugin = &state_->registry.for_scheme(wanted.endpoint.scheme);
  resolved.plugin->check_address(wanted.endpoint.address);

  const std::vector<OptionSetting> settings = settings_of(state_->config, *resolved.plugin, wanted);
  std::vector<OptionSetting> core_settings;
  std::copy_if(settings.begin(), settings.end(), std::back_inserter(core_settings),
               [](const OptionSetting& setting) { return core_options().find(setting.name) >= 0; });
  std::vector<std::string> problems;
  resolved.options = OptionValues::resolve(resolved.plugin->options(), settings, problems, core_options());
  resolved.core = OptionValues::resolve(core_options(), core_settings, problems);
  resolved.settings = connection_settings(resolved.core, problems);
  if (!problems.empty()) {
    std::string text = problems.front();
    for (std::size_t index = 1; index < problems.size(); ++index) text += "; " + problems[index];
    throw Error(Status::invalid, "resolve", wanted.endpoint.to_string(), text);
  }
  resolved.transport = state_->transport_for(*resolved.plugin, resolved.options);
  return resolved;
}

ResolvedEndpoint Runtime::resolve(std::string_view descriptor) { return resolve({parse_endpoint(descriptor), {}, {}}); }

Listener Runtime::listen(std::string_view descriptor) { return listen(resolve(descriptor)); }
Listener Runtime::listen(const ConfiguredEndpoint& endpoint) { return listen(resolve(endpoint)); }

Listener Runtime::listen(const ResolvedEndpoint& endpoint) {
  const std::string descriptor = endpoint.endpoint.to_string();
  const std::string missing = endpoint.options.missing_to_listen();
  if (!missing.empty()) throw Error(Status::invalid, "listen", descriptor, missing);
  ferry_error error = empty_error();
  ferry_listener* made = nullptr;
  const ferry_values values = endpoint.options.abi();
  const ferry_status status = call_plugin(error, [&] {
    return endpoint.transport->ops->listen(endpoint.transport, endpoint.endpoint.address.c_str(), &values, &made,
                                           &error);
  });
  if (status != FERRY_OK) throw_error(error, "listen", descriptor);
  return Listener(made, endpoint.plugin, endpoint.settings, endpoint.endpoint.scheme);
}

Status Runtime::try_connect(const ResolvedEndpoint& endpoint, Deadline deadline, const ferry_cancel* cancel,
                            Connection& out, ferry_error& error) {
  ferry_connection* made = nullptr;
  const ferry_values values = endpoint.options.abi();
  const ferry_status status = call_plugin(error, [&] {
    return endpoint.transport->ops->connect(endpoint.transport, endpoint.endpoint.address.c_str(), &values,
                                            deadline.ns(), cancel, &made, &error);
  });
  if (status != FERRY_OK) {
    if (status > FERRY_OK || status < FERRY_INTERNAL) {
      set_error(error, FERRY_INTERNAL,
                "the plugin returned status " + std::to_string(status) + ", which the ABI does not define");
    }
    return static_cast<Status>(error.status);
  }
  out = Connection(made, endpoint.plugin, endpoint.settings, endpoint.endpoint.to_string());
  return Status::ok;
}

}  // namespace ferry

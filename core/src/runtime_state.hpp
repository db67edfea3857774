// What a Runtime owns, and the steps of connecting.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "ferry/runtime.hpp"
#include "transport_handle.hpp"

namespace ferry {

struct Runtime::State {
  explicit State(Config wanted) : config(std::move(wanted)), registry(config.plugins) {}

  /// One instance for each plugin and set of option values.
  ferry_transport* transport_for(const Plugin& plugin, const OptionValues& options);

  Config config;
  Registry registry;
  std::mutex mutex;  // of `transports`
  std::map<std::string, TransportHandle> transports;
};

/// The settings of the plugin's options and the core's that hold for an endpoint, in increasing precedence: the
/// config's defaults for the transport, link, endpoint object, descriptor.
std::vector<OptionSetting> settings_of(const Config& config, const Plugin& plugin, const ConfiguredEndpoint& endpoint);

/// The endpoints that may serve a local name, best first; see local_endpoints.cpp. Throws Error.
std::vector<ConfiguredEndpoint> local_endpoints(const ConfiguredEndpoint& local, Registry& registry);
inline constexpr std::string_view local_scheme = "local";

/// Tries every endpoint as RFC 8305 says: each next one 250 ms after the one before, or as soon as one failed; the
/// first connection wins, the others are cancelled and aborted, and all threads are joined before the return.
Status race_endpoints(Runtime& runtime, const std::vector<ConfiguredEndpoint>& endpoints, Deadline deadline,
                      const ferry_cancel* cancel, Connection& out, std::vector<Attempt>& attempts);
/// One attempt, a refusal to resolve included. Throws nothing but std::bad_alloc.
Status attempt_endpoint(Runtime& runtime, const ConfiguredEndpoint& endpoint, Deadline deadline,
                        const ferry_cancel* cancel, Connection& out, Attempt& attempt);

}  // namespace ferry

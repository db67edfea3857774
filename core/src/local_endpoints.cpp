// `local://name`: the best this machine offers, without knowing a transport by name.
//
// A plugin takes part when both its ends are on one machine (FERRY_CAP_LOCAL) and its `ephemeral_address` has a place
// for a name, which makes its addresses ones that both sides can work out. Best first: transports that lend their
// memory copy least and wake least; then those that tell who the other process is; then by name, so that both sides
// agree. Loopback TCP does not take part: its ports cannot be worked out from a name.
#include <algorithm>

#include "ferry/sdk/runtime_directory.hpp"
#include "runtime_state.hpp"

namespace ferry {
namespace {

constexpr std::size_t max_local_name_bytes = 64;

bool is_local_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > max_local_name_bytes || name.front() == '.') return false;
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
         std::string_view::npos;
}

bool takes_part(const Plugin& plugin) noexcept {
  const char* const address = plugin.abi().ephemeral_address;
  return plugin.has(FERRY_CAP_LOCAL | FERRY_CAP_EPHEMERAL) &&
         std::string_view(address).find("{name}") != std::string_view::npos;
}

std::string replace_all(std::string text, std::string_view mark, const std::string& with) {
  for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at + with.size())) {
    text.replace(at, mark.size(), with);
  }
  return text;
}

std::string runtime_directory(const ConfiguredEndpoint& local) {
  try {
    return plugin::runtime_directory();
  } catch (const plugin::Failure& failure) {
    throw Error(static_cast<Status>(failure.status()), "resolve", local.endpoint.to_string(), failure.what(),
                failure.os_error());
  }
}

}  // namespace

std::vector<ConfiguredEndpoint> local_endpoints(const ConfiguredEndpoint& local, Registry& registry) {
  const std::string& name = local.endpoint.address;
  if (!is_local_name(name)) {
    throw Error(Status::invalid, "resolve", local.endpoint.to_string(),
                "a local name has letters, digits, '.', '_' and '-', at most 64, and does not start with '.'");
  }
  std::vector<const Plugin*> plugins = registry.load_all();
  std::erase_if(plugins, [](const Plugin* plugin) { return !takes_part(*plugin); });
  if (plugins.empty()) {
    throw Error(Status::not_found, "resolve", local.endpoint.to_string(),
                "no plugin on the search path offers a local transport; see ferry inspect");
  }
  std::sort(plugins.begin(), plugins.end(), [](const Plugin* a, const Plugin* b) {
    for (const std::uint64_t better : {FERRY_CAP_LENDING, FERRY_CAP_CREDENTIALS}) {
      if (a->has(better) != b->has(better)) return a->has(better);
    }
    return a->name() < b->name();
  });
  const std::string directory = runtime_directory(local);
  std::vector<ConfiguredEndpoint> endpoints;
  for (const Plugin* plugin : plugins) {
    ConfiguredEndpoint endpoint = local;
    endpoint.endpoint.scheme = plugin->abi().schemes[0];
    endpoint.endpoint.address =
        replace_all(replace_all(plugin->abi().ephemeral_address, "{dir}", directory), "{name}", name);
    endpoints.push_back(std::move(endpoint));
  }
  return endpoints;
}

}  // namespace ferry

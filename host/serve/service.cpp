#include "serve/service.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "logging.hpp"

namespace ferry::host {

Service::Service(Reactor& reactor, std::function<void()> on_departure)
    : on_departure_(on_departure),
      handshakes_(reactor, on_departure),
      sessions_(reactor, on_departure),
      relay_(reactor, on_departure),
      streams_(reactor) {}

void Service::configure(const ServiceConfig& config, std::shared_ptr<Runtime> runtime) {
  config_ = config;
  target_ = {};
  if (config.kind == ServiceKind::relay) {
    target_.name = dial_text(config);
    const auto link = runtime->config().links.find(config.to_link);
    if (link != runtime->config().links.end()) target_.connect_ns = link->second.connect_deadline_ns;
    target_.runtime = std::move(runtime);
  }
  handshakes_.set_limit(config.max_connections);
}

void Service::accept(Connection connection, std::shared_ptr<Runtime> origin) {
  if (!full()) streams_.follow(connection, [this, origin](Connection stream) { admit(std::move(stream), origin); });
  admit(std::move(connection), std::move(origin));
}

void Service::admit(Connection connection, std::shared_ptr<Runtime> origin) {
  if (full()) return refuse(connection);
  if (config_.authkey.empty()) return serve(std::move(connection), std::move(origin));
  handshakes_.begin(std::move(connection), config_.authkey,
                    [this, origin = std::move(origin)](Connection proven) { serve_proven(std::move(proven), origin); });
}

bool Service::full() const noexcept { return sessions_.live() + relay_.live() >= config_.max_connections; }

void Service::refuse(Connection& connection) {
  std::uint64_t more = 0;
  if (refusals_.allow(monotonic_now_ns(), more)) {
    log_line(FERRY_LOG_WARNING, "service {}: a client was turned away, {} connections are served already ({} more so)",
             config_.name, config_.max_connections, more);
  }
  connection.abort();
}

void Service::serve_proven(Connection connection, std::shared_ptr<Runtime> origin) {
  if (!full()) return serve(std::move(connection), std::move(origin));
  refuse(connection);  // others proved themselves meanwhile
  on_departure_();
}

void Service::serve(Connection connection, std::shared_ptr<Runtime> origin) {
  if (config_.kind == ServiceKind::relay) {
    relay_.accept(std::move(connection), std::move(origin), target_);
  } else {
    sessions_.accept(std::move(connection), std::move(origin), config_.kind, config_.framing);
  }
}

void Service::cut() {
  handshakes_.cut();
  sessions_.cut();
  relay_.cut();
}

std::string dial_text(const ServiceConfig& service) {
  if (!service.to_link.empty()) return service.to_link;
  std::string text;
  for (const ConfiguredEndpoint& configured : service.to) {
    Endpoint endpoint = configured.endpoint;
    for (const OptionSetting& setting : configured.settings) {
      const auto same = [&](const EndpointOption& option) { return option.name == setting.name; };
      const bool in_query = std::any_of(endpoint.options.begin(), endpoint.options.end(), same);
      if (!in_query) endpoint.options.push_back({setting.name, setting.text});
    }
    text += (text.empty() ? "" : ",") + endpoint.to_string();
  }
  return text;
}

}  // namespace ferry::host

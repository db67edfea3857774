#include "serve/server.hpp"

#include <algorithm>
#include <cstring>
#include <iostream>

#include "json.hpp"
#include "logging.hpp"

namespace ferry::host {
namespace {

bool equal(const ferry_value& a, const ferry_value& b) {
  const auto text = [](const ferry_value& value) { return std::string_view(value.text == nullptr ? "" : value.text); };
  return a.is_set == b.is_set && a.integer == b.integer && text(a) == text(b);
}

bool equal(const OptionValues& a, const OptionValues& b) {
  if (a.size() != b.size()) return false;
  for (std::uint32_t i = 0; i < a.size(); ++i)
    if (!equal(a[i], b[i])) return false;
  return true;
}

// True when every difference is in options that a listener can be told of, or that are none of its business.
bool reloadable(const ResolvedEndpoint& from, const ResolvedEndpoint& to) {
  if (from.plugin->path() != to.plugin->path() || from.options.size() != to.options.size()) return false;
  if (!equal(from.core, to.core)) return false;
  for (std::uint32_t i = 0; i < from.options.size(); ++i) {
    const bool same = equal(from.options[i], to.options[i]);
    const std::uint32_t flags = from.options.table()[i].flags;
    if (!same && (flags & FERRY_OPTION_LISTEN) != 0 && (flags & FERRY_OPTION_RELOADABLE) == 0) return false;
  }
  return true;
}

void log_accept_problem(LogLimit& limit, const std::string& service, const ferry_error& error) {
  std::uint64_t more = 0;
  if (!limit.allow(monotonic_now_ns(), more)) return;
  const auto status = static_cast<Status>(error.status);
  log_line(FERRY_LOG_WARNING, "service {}: accept: {}{}{} ({} more so)", service, describe(status),
           error.message[0] == '\0' ? "" : ": ", error.message, more);
}

}  // namespace

Server::Server(Reactor& reactor, bool json, std::function<void()> on_departure)
    : reactor_(reactor), json_(json), on_departure_(std::move(on_departure)) {}

Server::~Server() { stop_accepting(); }

void Server::apply(const std::vector<ServiceConfig>& configs, const std::shared_ptr<Runtime>& runtime) {
  Services services;
  Slots wanted = resolve(configs, runtime, services);
  Fresh fresh = listen_at_new(wanted);
  for (const ServiceConfig& config : configs) {
    services.at(config.name)->configure(config, runtime);
    has_relayed_ = has_relayed_ || config.kind == ServiceKind::relay;
  }
  for (auto it = slots_.begin(); it != slots_.end();) {
    const auto kept = wanted.find(it->first);
    if (kept != wanted.end()) {
      update(*it->second, *kept->second);
      ++it;
    } else {
      close(*it->second);
      it = slots_.erase(it);
    }
  }
  for (auto& [key, listener] : fresh) {
    auto& slot = slots_[key] = std::move(wanted.at(key));
    open(*slot, std::move(listener));
    announce(*slot);
  }
  retire_services(std::move(services));
}

Server::Slots Server::resolve(const std::vector<ServiceConfig>& configs, const std::shared_ptr<Runtime>& runtime,
                              Services& services) {
  Slots slots;
  for (const ServiceConfig& config : configs) {
    const auto known = services_.find(config.name);
    const auto service = known != services_.end() ? known->second : std::make_shared<Service>(reactor_, on_departure_);
    services[config.name] = service;
    for (ConfiguredEndpoint configured : config.listen) {
      // The service's own options come first: what stands at the endpoint is nearer and wins.
      configured.settings.insert(configured.settings.begin(), config.settings.begin(), config.settings.end());
      for (const ConfiguredEndpoint& endpoint : runtime->endpoints_of(configured)) {
        auto slot = std::make_unique<Slot>(Slot{runtime, runtime->resolve(endpoint), config.name, service, nullptr});
        const std::string address = slot->endpoint.endpoint.scheme + "://" + slot->endpoint.endpoint.address;
        std::string key = address;  // an address with port 0 may stand there several times
        for (int count = 2; slots.contains(key); ++count) key = address + " #" + std::to_string(count);
        slots[key] = std::move(slot);
      }
    }
  }
  return slots;
}

// Before anything that runs is touched - but for an address that a listener which goes holds, all of it or a part: a
// port at 127.0.0.1 that moves to 0.0.0.0. Then what goes of that scheme is closed first, and comes back if it must.
// One whose address the system chose could not come back to it, and stays until the reload has succeeded.
Server::Fresh Server::listen_at_new(const Slots& wanted) {
  Fresh fresh;
  std::vector<Slot*> closed;
  try {
    for (const auto& [key, slot] : wanted) {
      if (slots_.contains(key)) continue;
      try {
        fresh.emplace(key, listen(*slot));
      } catch (const Error& error) {
        if (error.status() != Status::address_in_use || !close_departing(slot->endpoint, wanted, closed)) throw;
        fresh.emplace(key, listen(*slot));
      }
    }
  } catch (...) {
    fresh.clear();
    for (Slot* slot : closed) reopen(*slot);
    throw;
  }
  return fresh;
}

bool Server::close_departing(const ResolvedEndpoint& in_favour_of, const Slots& wanted, std::vector<Slot*>& closed) {
  const std::size_t before = closed.size();
  for (const auto& [key, slot] : slots_) {
    const Endpoint& endpoint = slot->endpoint.endpoint;
    if (wanted.contains(key) || endpoint.scheme != in_favour_of.endpoint.scheme) continue;
    if (endpoint.address != parse_endpoint(slot->listener->descriptor()).address) continue;
    if (std::find(closed.begin(), closed.end(), slot.get()) != closed.end()) continue;
    close(*slot);
    closed.push_back(slot.get());
  }
  return closed.size() > before;
}

// The clients of a listener that was closed may still hold its address, as all those of a UDP port do. Then the
// transport that they are of can listen there again, and no other.
Listener Server::listen(Slot& wanted) const {
  try {
    return wanted.origin->listen(wanted.endpoint);
  } catch (const Error& error) {
    if (error.status() != Status::address_in_use) throw;
    for (const Departed& departed : departed_) {
      const std::shared_ptr<Runtime> origin = departed.origin.lock();
      if (origin == nullptr || &departed.endpoint.plugin->abi() != &wanted.endpoint.plugin->abi()) continue;
      ResolvedEndpoint endpoint = wanted.endpoint;
      endpoint.plugin = departed.endpoint.plugin;
      endpoint.transport = departed.endpoint.transport;
      try {
        Listener listener = origin->listen(endpoint);
        wanted.origin = origin;
        wanted.endpoint = std::move(endpoint);
        return listener;
      } catch (const Error&) {  // nor has this one left it to its clients
      }
    }
    throw;
  }
}

void Server::close(Slot& slot) {
  slot.listener->close();
  std::erase_if(departed_, [&slot](const Departed& known) {
    return known.origin.expired() || known.endpoint.transport == slot.endpoint.transport;
  });
  departed_.push_back({slot.origin, slot.endpoint});
}

void Server::open(Slot& slot, Listener listener) {
  slot.raw = listener.raw();
  const auto on_accept = [this, &slot](Connection connection) {
    slot.service->accept(std::move(connection), slot.origin);
    if (on_accept_) on_accept_();
  };
  const auto on_error = [&slot, limit = one_line_a_second()](const ferry_error& error) mutable {
    log_accept_problem(limit, slot.service_name, error);
  };
  slot.listener = reactor_.listen(std::move(listener), on_accept, on_error);
}

void Server::update(Slot& old, Slot& wanted) {
  old.service = wanted.service;
  old.service_name = wanted.service_name;
  const bool same = old.endpoint.plugin->path() == wanted.endpoint.plugin->path() &&
                    equal(old.endpoint.options, wanted.endpoint.options) &&
                    equal(old.endpoint.core, wanted.endpoint.core);
  const bool can_be_told = FERRY_HAS(old.raw->ops, ferry_listener_ops, reconfigure);
  if (same && !can_be_told) return;
  if (!can_be_told || !reloadable(old.endpoint, wanted.endpoint)) return replace(old, wanted);
  // Also when nothing changed: the files that its options name may have, such as a renewed certificate.
  ferry_error error{};
  error.struct_size = sizeof(error);
  const ferry_values values = wanted.endpoint.options.abi();
  const ferry_status status = old.raw->ops->reconfigure(old.raw, &values, &error);
  if (status != FERRY_OK) {
    log_line(FERRY_LOG_ERROR, "reconfigure {}: {}", old.listener->descriptor(), error.message);
    return;
  }
  if (same) return;
  old.endpoint.options = wanted.endpoint.options;
  log_line(FERRY_LOG_INFO, "reconfigured {}", old.listener->descriptor());
}

// The same address cannot be listened at twice, so the old listener goes first and comes back when the new one fails.
void Server::replace(Slot& old, Slot& wanted) {
  close(old);
  try {
    open(old, listen(wanted));
    old.origin = wanted.origin;
    old.endpoint = wanted.endpoint;
  } catch (const Error& error) {
    log_line(FERRY_LOG_ERROR, "cannot listen with the new options, keeping the old: {}", error.what());
    return reopen(old);
  }
  announce(old);
}

// After a failure, so a second one has nobody to go to but the log.
void Server::reopen(Slot& slot) {
  try {
    open(slot, slot.origin->listen(slot.endpoint));
    announce(slot);
  } catch (const Error& error) {
    log_line(FERRY_LOG_ERROR, "cannot listen again as before: {}", error.what());
  }
}

void Server::announce(const Slot& slot) const {
  const std::string descriptor = slot.listener->descriptor();
  if (json_) {
    print_json_line({{"event", "listening"}, {"service", slot.service_name}, {"descriptor", descriptor}});
  } else {
    std::cout << "listening " << descriptor << std::endl;
  }
  std::cout.clear();  // whoever read the readiness lines may be gone; the clients stay
}

void Server::retire_services(Services wanted) {
  for (auto& [name, service] : services_) {
    if (wanted.contains(name)) continue;
    service->stop_accepting();
    retired_.push_back(service);
  }
  std::erase_if(retired_, [this](const std::shared_ptr<Service>& service) {
    if (service->live() != 0) return false;
    ended_ += service->ledger();
    return true;
  });
  services_ = std::move(wanted);
}

void Server::stop_accepting() {
  for (const auto& [key, slot] : slots_) slot->listener->close();
  slots_.clear();
  for (const auto& [name, service] : services_) service->stop_accepting();
}

std::size_t Server::live() const {
  std::size_t count = 0;
  for (const auto& [name, service] : services_) count += service->live();
  for (const auto& service : retired_) count += service->live();
  return count;
}

void Server::cut() {
  for (const auto& [name, service] : services_) service->cut();
  for (const auto& service : retired_) service->cut();
}

Ledger Server::ledger() const {
  Ledger total = ended_;
  for (const auto& [name, service] : services_) total += service->ledger();
  for (const auto& service : retired_) total += service->ledger();
  return total;
}

}  // namespace ferry::host

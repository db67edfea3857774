// Listeners and services as a config says, and how they follow when the config changes.
//
// A listener is known by its address. What a reload leaves as it was keeps listening; where only reloadable options
// changed the listener is told; where others did it listens anew. Live connections are never touched: they belong to
// their service, which lives on without listeners until the last of them is gone.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ferry/config.hpp"
#include "ferry/reactor.hpp"
#include "ferry/runtime.hpp"
#include "relay/ledger.hpp"
#include "serve/service.hpp"

namespace ferry::host {

/// Loop thread only.
class Server {
 public:
  /// `reactor` outlives it. `on_departure` is called each time a connection is gone.
  Server(Reactor& reactor, bool json, std::function<void()> on_departure);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  /// Makes what runs match `configs`, opened through `runtime`, and prints a readiness line per new listener. Throws
  /// when an option does not resolve or a new address cannot be listened at; what ran before then runs on unchanged (a
  /// listener whose address was to be taken over was closed for that moment).
  void apply(const std::vector<ServiceConfig>& configs, const std::shared_ptr<Runtime>& runtime);
  /// Called after each client was handed to its service.
  void on_accept(std::function<void()> handler) { on_accept_ = std::move(handler); }

  void stop_accepting();
  std::size_t live() const;
  void cut();
  /// True once any service was a relay.
  bool has_relayed() const noexcept { return has_relayed_; }
  /// Of all relays, those no longer configured included.
  Ledger ledger() const;

 private:
  // An address that is listened at. The reactor's accept handler points to it, so `listener` is closed before it dies.
  struct Slot {
    std::shared_ptr<Runtime> origin;  // outlives the listener
    ResolvedEndpoint endpoint;
    std::string service_name;
    std::shared_ptr<Service> service;
    std::shared_ptr<ReactorListener> listener;
    ferry_listener* raw = nullptr;  // owned by `listener`
  };
  // What a closed listener was opened with. Its clients, who keep the runtime, may still hold the address.
  struct Departed {
    std::weak_ptr<Runtime> origin;
    ResolvedEndpoint endpoint;
  };
  using Slots = std::map<std::string, std::unique_ptr<Slot>>;
  using Fresh = std::map<std::string, Listener>;  // by the key of its slot
  using Services = std::map<std::string, std::shared_ptr<Service>>;

  Slots resolve(const std::vector<ServiceConfig>& configs, const std::shared_ptr<Runtime>& runtime, Services& services);
  Fresh listen_at_new(const Slots& wanted);
  bool close_departing(const ResolvedEndpoint& in_favour_of, const Slots& wanted, std::vector<Slot*>& closed);
  Listener listen(Slot& wanted) const;
  void open(Slot& slot, Listener listener);
  void close(Slot& slot);
  void update(Slot& old, Slot& wanted);
  void replace(Slot& old, Slot& wanted);
  void reopen(Slot& slot);
  void announce(const Slot& slot) const;
  void retire_services(Services wanted);

  Reactor& reactor_;
  bool json_;
  std::function<void()> on_departure_;
  std::function<void()> on_accept_;
  Services services_;
  std::vector<std::shared_ptr<Service>> retired_;  // no listener left, but perhaps connections
  Ledger ended_;                                   // of services that are gone
  bool has_relayed_ = false;
  Slots slots_;
  std::vector<Departed> departed_;  // one for each transport
};

}  // namespace ferry::host

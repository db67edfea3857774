// One service of the config: admits clients, has them prove who they are, and hands them to what serves them.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "ferry/config.hpp"
#include "ferry/log_limit.hpp"
#include "ferry/reactor.hpp"
#include "ferry/runtime.hpp"
#include "logging.hpp"
#include "relay/relay.hpp"
#include "serve/handshakes.hpp"
#include "serve/sessions.hpp"
#include "serve/streams.hpp"

namespace ferry::host {

/// Loop thread only. A new configuration holds for clients accepted from then on.
class Service {
 public:
  /// `reactor` outlives it. `on_departure` is called each time a connection is gone.
  Service(Reactor& reactor, std::function<void()> on_departure);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  void configure(const ServiceConfig& config, std::shared_ptr<Runtime> runtime);
  /// `origin` is the runtime that listens. Streams that the client opens beside this one are accepted as it is.
  void accept(Connection connection, std::shared_ptr<Runtime> origin);
  /// No more streams of clients that were accepted.
  void stop_accepting() { streams_.stop(); }

  /// Clients being served, and those that still prove who they are.
  std::size_t live() const noexcept { return handshakes_.live() + sessions_.live() + relay_.live(); }
  void cut();
  const Ledger& ledger() const noexcept { return relay_.ledger(); }

 private:
  bool full() const noexcept;
  void refuse(Connection& connection);
  void admit(Connection connection, std::shared_ptr<Runtime> origin);
  void serve_proven(Connection connection, std::shared_ptr<Runtime> origin);
  void serve(Connection connection, std::shared_ptr<Runtime> origin);

  std::function<void()> on_departure_;
  ServiceConfig config_;
  RelayTarget target_;
  Handshakes handshakes_;
  Sessions sessions_;
  Relay relay_;
  Streams streams_;
  LogLimit refusals_ = one_line_a_second();
};

/// The text that Runtime::connect takes for a relay's `to`: the link's name, or the descriptors with their options.
std::string dial_text(const ServiceConfig& service);

}  // namespace ferry::host

// Accepted clients, each relayed to a target of its own. One per service or `ferry relay`; loop thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "ferry/log_limit.hpp"
#include "ferry/reactor.hpp"
#include "ferry/runtime.hpp"
#include "logging.hpp"
#include "relay/flow.hpp"
#include "relay/ledger.hpp"
#include "relay/pair.hpp"

namespace ferry::host {

/// Where clients of a relay are taken.
struct RelayTarget {
  std::shared_ptr<Runtime> runtime;          ///< kept alive by every connection made through it
  std::string name;                          ///< a link's name or a descriptor list
  std::int64_t connect_ns = 10'000'000'000;  ///< for all its endpoints together
};

class Relay {
 public:
  /// `reactor` outlives it. `on_departure` is called each time a connection is gone.
  Relay(Reactor& reactor, std::function<void()> on_departure)
      : reactor_(reactor), on_departure_(std::move(on_departure)) {}
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  /// Connects to the target and relays. When that fails the client is reset and the reason is logged.
  /// `origin` is the runtime that the client's connection came from.
  void accept(Connection client, std::shared_ptr<Runtime> origin, const RelayTarget& target);
  /// Connections now alive, those that still connect included.
  std::size_t live() const noexcept { return live_.size(); }
  /// Resets whatever lives.
  void cut();
  const Ledger& ledger() const noexcept { return ledger_; }

 private:
  struct Client {
    std::shared_ptr<Runtime> origin;  // of the client's own connection; both runtimes outlive what follows
    std::shared_ptr<Runtime> runtime;
    Connection waiting;  // until the target is there
    std::unique_ptr<ReactorHandle> connecting;
    std::shared_ptr<Pair> pair;
  };

  void refuse(std::uint64_t id, const char* reason);
  void connected(std::uint64_t id, const std::string& target, Connection connection, const Error* error);
  void pair_done(std::uint64_t id, const Pair::Outcome& outcome);
  void depart(std::uint64_t id);

  Reactor& reactor_;
  std::function<void()> on_departure_;
  Scratch scratch_;
  std::unordered_map<std::uint64_t, Client> live_;
  std::uint64_t next_id_ = 0;
  Ledger ledger_;
  LogLimit refusals_ = one_line_a_second();
  LogLimit losses_ = one_line_a_second();
};

}  // namespace ferry::host

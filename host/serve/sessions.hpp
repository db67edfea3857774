// The services that answer a client themselves: echo and discard, on bytes or messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include "ferry/config.hpp"
#include "ferry/reactor.hpp"
#include "ferry/runtime.hpp"

namespace ferry::host {

/// The live clients of one service. Loop thread only.
class Sessions {
 public:
  /// `reactor` outlives it. `on_departure` is called each time a connection is gone.
  Sessions(Reactor& reactor, std::function<void()> on_departure)
      : reactor_(reactor), on_departure_(std::move(on_departure)) {}
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;

  /// `origin` is the runtime that the connection came from.
  void accept(Connection connection, std::shared_ptr<Runtime> origin, ServiceKind kind, Framing framing);
  std::size_t live() const noexcept { return live_.size(); }
  /// Resets whatever lives.
  void cut();

 private:
  struct Session {
    std::shared_ptr<Runtime> origin;  // outlives the connection
    std::shared_ptr<ReactorConnection> connection;
  };

  Reactor& reactor_;
  std::function<void()> on_departure_;
  std::unordered_map<std::uint64_t, Session> live_;
  std::uint64_t next_id_ = 0;
};

}  // namespace ferry::host

#include "serve/sessions.hpp"

#include <utility>
#include <vector>

#include "logging.hpp"

namespace ferry::host {
namespace {

using Handlers = ReactorConnection::Handlers;

// A client that sends and does not read its echo stops being read: its own queue bounds what it can make us hold.
void set_echo(Handlers& handlers, Framing framing) {
  if (framing == Framing::messages) {
    handlers.on_message = [](ReactorConnection& connection, ConstBytes message) {
      if (!connection.send(message)) connection.pause_reading();
    };
  } else {
    handlers.on_bytes = [](ReactorConnection& connection, ConstBytes bytes) {
      if (!connection.write(bytes)) connection.pause_reading();
    };
  }
  handlers.on_writable = [](ReactorConnection& connection) { connection.resume_reading(); };
}

void set_discard(Handlers& handlers, Framing framing) {
  const auto ignore = [](ReactorConnection&, ConstBytes) {};
  (framing == Framing::messages ? handlers.on_message : handlers.on_bytes) = ignore;
}

}  // namespace

void Sessions::accept(Connection connection, std::shared_ptr<Runtime> origin, ServiceKind kind, Framing framing) {
  const std::uint64_t id = next_id_++;
  Handlers handlers;
  kind == ServiceKind::echo ? set_echo(handlers, framing) : set_discard(handlers, framing);
  handlers.on_closed = [this, id](ReactorConnection&, Status status) {
    log_line(FERRY_LOG_DEBUG, "session {} ended: {}", id, describe(status));
    live_.erase(id);
    on_departure_();
  };
  live_[id] = {std::move(origin), reactor_.add(std::move(connection), std::move(handlers))};
}

void Sessions::cut() {
  std::vector<std::shared_ptr<ReactorConnection>> connections;
  for (const auto& [id, session] : live_) connections.push_back(session.connection);
  for (const auto& connection : connections) connection->abort(Status::interrupted);
}

}  // namespace ferry::host

#include "serve/handshakes.hpp"

#include <chrono>
#include <utility>

#include "ferry/authentication.hpp"
#include "ferry/readiness.hpp"
#include "logging.hpp"
#include "serve/handshake_wire.hpp"

namespace ferry::host {

struct Handshakes::Handshake {
  Handshake(Connection client, const std::string& key, std::function<void(Connection)> then)
      : connection(std::move(client)),
        wire(connection),
        authentication(Authentication::Role::listener, key),
        proven(std::move(then)) {}

  Connection connection;
  HandshakeWire wire;
  Authentication authentication;
  std::function<void(Connection)> proven;
  std::unique_ptr<ReactorHandle> deadline;
  std::unique_ptr<Readiness> readiness;

  Status speak();
  Status hear();
};

Status Handshakes::Handshake::speak() {
  while (const auto message = authentication.take_message()) wire.queue(*message);
  const Status status = wire.flush();
  if (status == Status::would_block) readiness->want(FERRY_WRITE);
  return status;
}

Status Handshakes::Handshake::hear() {
  ConstBytes message;
  const Status status = wire.receive(message);
  if (status == Status::ok) authentication.receive(message);
  if (status == Status::would_block) readiness->want(FERRY_READ);
  return status;
}

Handshakes::Handshakes(Reactor& reactor, std::function<void()> on_departure)
    : reactor_(reactor), on_departure_(std::move(on_departure)) {}

Handshakes::~Handshakes() = default;

void Handshakes::begin(Connection connection, const std::string& key, std::function<void(Connection)> proven) {
  if (waiting_.size() >= limit_) fail(waiting_.begin()->first, "made room for newer clients", false);
  const std::uint64_t id = next_id_++;
  auto handshake = std::make_unique<Handshake>(std::move(connection), key, std::move(proven));
  handshake->readiness = std::make_unique<Readiness>(reactor_.loop(), handshake->connection.raw(),
                                                     [this, id](ferry_interest) { advance(id); });
  const auto allowed = std::chrono::nanoseconds(handshake->connection.settings().handshake_ns);
  handshake->deadline =
      reactor_.call_at(allowed, [this, id] { fail(id, "took longer than handshake_deadline", false); });
  waiting_[id] = std::move(handshake);
  advance(id);
}

void Handshakes::advance(std::uint64_t id) {
  Handshake& handshake = *waiting_.at(id);
  Status status = handshake.speak();
  while (status == Status::ok && handshake.authentication.state() == Authentication::State::working) {
    status = handshake.hear();
    if (status == Status::ok) status = handshake.speak();  // also the verdict on one who failed
  }
  if (status == Status::would_block) return;
  if (status != Status::ok) return fail(id, std::string(describe(status)), false);
  if (handshake.authentication.state() == Authentication::State::failed) {
    return fail(id, std::string(handshake.authentication.reason()), true);
  }
  const auto keep = std::move(waiting_.at(id));  // its handler may be running
  waiting_.erase(id);
  keep->readiness.reset();
  keep->deadline.reset();
  keep->proven(std::move(keep->connection));
}

void Handshakes::fail(std::uint64_t id, const std::string& reason, bool verdict_sent) {
  const auto keep = std::move(waiting_.at(id));
  waiting_.erase(id);
  std::uint64_t more = 0;
  if (failures_.allow(monotonic_now_ns(), more)) {
    log_line(FERRY_LOG_PEER_MISBEHAVING, "a client did not authenticate: {} ({} more did not)", reason, more);
  }
  keep->readiness.reset();
  if (verdict_sent) {
    // An orderly end lets the peer read why; a reset could destroy the verdict under way.
    ferry_connection* raw = keep->connection.release();
    (void)raw->ops->finish(raw, FERRY_NO_WAIT);
    raw->ops->close(raw);
  } else {
    keep->connection.abort();
  }
  on_departure_();
}

void Handshakes::cut() {
  while (!waiting_.empty()) fail(waiting_.begin()->first, "the server ends", false);
}

}  // namespace ferry::host

#include "relay/relay.hpp"

#include <chrono>
#include <utility>
#include <vector>

#include "logging.hpp"

namespace ferry::host {

void Relay::accept(Connection connection, std::shared_ptr<Runtime> origin, const RelayTarget& target) {
  const std::uint64_t id = next_id_++;
  ++ledger_.connections;
  Client& client = live_[id];
  client.origin = std::move(origin);
  client.waiting = std::move(connection);
  client.runtime = target.runtime;
  client.connecting = reactor_.connect(
      *target.runtime, target.name, std::chrono::nanoseconds(target.connect_ns),
      [this, id, name = target.name](Connection to, const Error* error) { connected(id, name, std::move(to), error); });
}

void Relay::connected(std::uint64_t id, const std::string& target, Connection connection, const Error* error) {
  Client& client = live_.at(id);
  if (error != nullptr) {
    client.waiting.abort();
    return refuse(id, error->what());
  }
  log_line(FERRY_LOG_DEBUG, "relaying client {} to {}", id, target);
  try {
    client.pair = std::make_shared<Pair>(reactor_, scratch_, std::move(client.waiting), std::move(connection),
                                         [this, id](Pair&, const Pair::Outcome& outcome) { pair_done(id, outcome); });
  } catch (const Error& problem) {
    return refuse(id, problem.what());
  }
  const auto pair = client.pair;  // start() may end the pair and remove the client
  pair->start();
}

void Relay::refuse(std::uint64_t id, const char* reason) {
  ++ledger_.connect_failures;
  std::uint64_t more = 0;
  if (refusals_.allow(monotonic_now_ns(), more)) {
    log_line(FERRY_LOG_WARNING, "a client was turned away because its target cannot be reached: {} ({} more so)",
             reason, more);
  }
  depart(id);
}

void Relay::pair_done(std::uint64_t id, const Pair::Outcome& outcome) {
  ledger_.to_target += outcome.to_target;
  ledger_.to_client += outcome.to_client;
  if (outcome.status == Status::interrupted) {
    ++ledger_.cut;
  } else if (outcome.status != Status::ok) {
    ++ledger_.resets;
  }
  const std::uint64_t lost = outcome.to_target.unaccounted() + outcome.to_client.unaccounted();
  std::uint64_t more = 0;
  if (lost != 0 && losses_.allow(monotonic_now_ns(), more)) {
    log_line(FERRY_LOG_WARNING, "client {}: {} bytes could not be delivered ({}; {} more clients so)", id, lost,
             describe(outcome.status), more);
  } else {
    log_line(FERRY_LOG_DEBUG, "client {} ended: {}; {} bytes to the target, {} to the client", id,
             describe(outcome.status), outcome.to_target.out, outcome.to_client.out);
  }
  depart(id);
}

void Relay::depart(std::uint64_t id) {
  live_.erase(id);
  on_departure_();
}

void Relay::cut() {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, client] : live_) ids.push_back(id);
  for (const std::uint64_t id : ids) {
    const auto found = live_.find(id);
    if (found == live_.end()) continue;
    if (const auto pair = found->second.pair) {
      pair->cut();
    } else {
      ++ledger_.cut;
      found->second.waiting.abort();
      depart(id);
    }
  }
}

}  // namespace ferry::host

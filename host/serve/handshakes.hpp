// Clients that still have to prove that they know the key.
//
// A client costs a few hundred bytes until it has: nothing of a message is kept beyond the handshake's own bound, and
// no byte after the handshake is read, so what follows belongs to the service. Whoever has not finished at the
// `handshake_deadline` is reset, however busily it sends; and when as many wait as the service may have connections,
// the one that has waited longest makes room, so that silent clients never keep an honest one out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "ferry/connection.hpp"
#include "ferry/log_limit.hpp"
#include "ferry/reactor.hpp"
#include "logging.hpp"

namespace ferry::host {

class Handshakes {
 public:
  /// `reactor` outlives it. `on_departure` is called each time a client failed and is gone.
  Handshakes(Reactor& reactor, std::function<void()> on_departure);
  Handshakes(const Handshakes&) = delete;
  Handshakes& operator=(const Handshakes&) = delete;
  ~Handshakes();

  void set_limit(std::size_t limit) noexcept { limit_ = limit; }
  /// Challenges the client; `proven` gets the connection when it answered well, in a later turn or at once.
  void begin(Connection connection, const std::string& key, std::function<void(Connection)> proven);
  std::size_t live() const noexcept { return waiting_.size(); }
  void cut();

 private:
  struct Handshake;

  void advance(std::uint64_t id);
  void fail(std::uint64_t id, const std::string& reason, bool verdict_sent);

  Reactor& reactor_;
  std::function<void()> on_departure_;
  std::size_t limit_ = 1;
  std::map<std::uint64_t, std::unique_ptr<Handshake>> waiting_;  // ids grow: the first has waited longest
  std::uint64_t next_id_ = 0;
  LogLimit failures_ = one_line_a_second();
};

}  // namespace ferry::host

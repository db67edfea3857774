#include "quic_connect.hpp"

#include <poll.h>

#include <algorithm>
#include <vector>

#include "ferry/sdk/poll_wait.hpp"
#include "quic_wait.hpp"

namespace ferry::quic {
namespace {

using plugin::Failure;

constexpr std::int64_t attempt_delay_ns = 250'000'000;  // RFC 8305, section 5

class Race {
 public:
  Race(Engine& engine, std::span<const SocketAddress> candidates, const std::string& server_name,
       std::shared_ptr<const Settings> settings, std::shared_ptr<const Credentials> credentials)
      : engine_(engine),
        candidates_(candidates),
        server_name_(server_name),
        settings_(std::move(settings)),
        credentials_(std::move(credentials)) {}
  Race(const Race&) = delete;
  Race& operator=(const Race&) = delete;
  ~Race() {
    for (const auto& session : attempts_) drop(*session);
  }

  std::shared_ptr<Session> run(std::int64_t deadline_ns, const ferry_cancel* cancel) {
    std::int64_t next_start = 0;
    for (;;) {
      if (auto winner = settle()) return winner;
      const bool more = started_ < candidates_.size();
      if (more && (attempts_.empty() || plugin::monotonic_ns() >= next_start)) {
        start(candidates_[started_++]);
        next_start = plugin::monotonic_ns() + attempt_delay_ns;
        continue;
      }
      if (attempts_.empty()) throw Failure(status_, problems_);
      wait(more ? std::min(next_start, deadline_ns) : deadline_ns, deadline_ns, cancel);
    }
  }

 private:
  void start(const SocketAddress& to) {
    auto session = std::make_shared<Session>(engine_, settings_, false);
    try {
      const Engine::Inside inside(engine_);
      session->connect(to, server_name_, credentials_);
      session->handle_made();
    } catch (const Failure& failure) {
      return note(to, failure.status(), failure.what());
    }
    attempts_.push_back(std::move(session));
  }

  void note(const SocketAddress& to, ferry_status status, std::string_view text) {
    // Of several reasons the one that says most about the server counts.
    if (status_ == FERRY_OK || status == FERRY_AUTHENTICATION || status_ == FERRY_UNREACHABLE) status_ = status;
    if (!problems_.empty()) problems_ += "; ";
    if (candidates_.size() > 1) problems_ += to.text() + ": ";
    problems_ += text;
  }

  /// The first that is established, if any; those that failed are noted and dropped.
  std::shared_ptr<Session> settle() {
    for (auto it = attempts_.begin(); it != attempts_.end();) {
      const std::shared_ptr<Session> session = *it;
      const Phase phase = session->phase();
      if (phase == Phase::connecting) {
        ++it;
        continue;
      }
      it = attempts_.erase(it);
      if (phase != Phase::failed) {
        // A leader leaves what is to be sent for later, but until our last packet of the handshake is there, the server
        // has no client.
        const Engine::Inside inside(engine_);
        return session;
      }
      note(session->first_peer(), session->failure(), session->failure_text());
      drop(*session);
    }
    return nullptr;
  }

  void drop(Session& session) {
    const Engine::Inside inside(engine_);
    const std::shared_ptr<Stream> stream = session.primary();
    session.handle_closed(stream.get(), true);
  }

  void wait(std::int64_t until_ns, std::int64_t deadline_ns, const ferry_cancel* cancel) {
    const int cancelled = plugin::cancel_descriptor(cancel);
    std::vector<Wakeup*> wakeups;
    for (const auto& session : attempts_) wakeups.push_back(&session->primary()->readable());
    const auto is_settled = [](const auto& session) { return session->phase() != Phase::connecting; };
    if (lead(engine_, {.wakeups = wakeups, .deadline_ns = until_ns, .descriptor = cancelled},
             [&] { return std::any_of(attempts_.begin(), attempts_.end(), is_settled); })) {
      return;
    }
    std::vector<pollfd> waits = {{cancelled, POLLIN, 0}};
    for (const auto& session : attempts_) {
      Wakeup& wakeup = session->primary()->readable();
      if (!wakeup.arm()) throw Failure(FERRY_NO_RESOURCES, "out of file descriptors");
      if (is_settled(session)) return wakeup.disarm();
      waits.push_back({wakeup.descriptor(), POLLIN, 0});
    }
    engine_.sleep_begins();
    const int ready = plugin::poll_until(waits.data(), waits.size(), until_ns);
    engine_.sleep_ends();
    if (ready > 0 && waits[0].revents != 0) throw Failure(FERRY_INTERRUPTED, "cancelled during the handshake");
    if (ready == FERRY_TIMED_OUT && until_ns == deadline_ns) {
      throw Failure(FERRY_TIMED_OUT, "no answer in time; is the address right, and UDP let through?");
    }
    if (ready < 0 && ready != FERRY_TIMED_OUT) throw Failure(ready, "waiting for the handshake failed");
  }

  Engine& engine_;
  std::span<const SocketAddress> candidates_;
  const std::string& server_name_;
  const std::shared_ptr<const Settings> settings_;
  const std::shared_ptr<const Credentials> credentials_;
  std::size_t started_ = 0;
  std::vector<std::shared_ptr<Session>> attempts_;
  ferry_status status_ = FERRY_OK;
  std::string problems_;
};

}  // namespace

std::shared_ptr<Session> connect_first(Engine& engine, std::span<const SocketAddress> candidates,
                                       const std::string& server_name, std::shared_ptr<const Settings> settings,
                                       std::shared_ptr<const Credentials> credentials, std::int64_t deadline_ns,
                                       const ferry_cancel* cancel) {
  return Race(engine, candidates, server_name, std::move(settings), std::move(credentials)).run(deadline_ns, cancel);
}

}  // namespace ferry::quic

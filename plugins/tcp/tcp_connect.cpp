#include "tcp_connect.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/poll_wait.hpp"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

namespace ferry::tcp {
namespace {

using plugin::Failure;
using plugin::UniqueFd;

ferry_status status_of(int error) {
  switch (error) {
    case ECONNREFUSED:
      return FERRY_REFUSED;
    case ETIMEDOUT:  // the kernel gave up sending SYN, which says nothing of our deadline
    case EADDRNOTAVAIL:
      return FERRY_UNREACHABLE;
    default:
      return plugin::status_of_errno(error);
  }
}

std::string advice(ferry_status status, int error) {
  if (error == EADDRNOTAVAIL) return "no local address or port is left to connect from";
  switch (status) {
    case FERRY_REFUSED:
      return "nobody listens there; is the service running?";
    case FERRY_UNREACHABLE:
      return "is the network up, and does a firewall let the packets through?";
    case FERRY_PERMISSION:
      return "a rule of the local firewall or of the system forbids it";
    case FERRY_TIMED_OUT:
      return "the host is down, or a firewall drops the packets";
    case FERRY_WOULD_BLOCK:
      return "the listener's backlog is full";
    default:
      return {};
  }
}

/// Drops a connection without TIME_WAIT, which would keep its port busy.
void reset(UniqueFd& socket) {
  const linger at_once{1, 0};
  setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  socket.reset();
}

class Race {
 public:
  Race(std::span<const SocketAddress> candidates, const Settings& settings, std::int64_t deadline_ns,
       const ferry_cancel* cancel)
      : candidates_(candidates), settings_(settings), deadline_ns_(deadline_ns), cancel_(cancel) {
    attempts_.reserve(candidates.size());
  }

  Connected run() {
    while (!winner_.socket) {
      if (may_start()) {
        start_next();
      } else if (is_anything_running()) {
        wait();
      } else {
        fail(overall_status());
      }
    }
    return std::move(winner_);
  }

 private:
  struct Attempt {
    UniqueFd socket;  // empty when it has failed
    int error = 0;
  };

  bool is_anything_running() const {
    return std::any_of(attempts_.begin(), attempts_.end(), [](const Attempt& attempt) { return bool(attempt.socket); });
  }

  bool may_start() const {
    if (attempts_.size() == candidates_.size()) return false;
    return attempts_.empty() || !attempts_.back().socket || plugin::monotonic_ns() >= next_start_ns_;
  }

  void start_next() {
    const SocketAddress& to = candidates_[attempts_.size()];
    next_start_ns_ = plugin::monotonic_ns() + attempt_delay_ms * millisecond_ns;
    Attempt& attempt = attempts_.emplace_back();
    UniqueFd socket;
    try {
      socket = open_socket(to.family(), settings_);
    } catch (const Failure& failure) {
      if (failure.os_error() != EAFNOSUPPORT) throw;  // a system without this IP version: the next may do
      attempt.error = failure.os_error();
      return;
    }
    apply_all(socket.get(), settings_);
    attempt.socket = std::move(socket);
    const int error = connect(attempt.socket.get(), to.get(), to.size) == 0 ? 0 : errno;
    if (error != EINPROGRESS) settle(attempt, to, error);
  }

  /// Takes the result of an attempt: a winner, or a failure to report if no other wins.
  ///
  /// A connect to a free port of the local ephemeral range can draw that very port as its own and meet itself (TCP's
  /// simultaneous open). Nobody listens there; and keeping the socket would keep the service from ever listening.
  void settle(Attempt& attempt, const SocketAddress& to, int error) {
    const SocketAddress peer = SocketAddress::peer_of(attempt.socket.get());
    if (error == 0 && peer == SocketAddress::local_of(attempt.socket.get())) {
      reset(attempt.socket);
      error = ECONNREFUSED;
    }
    attempt.error = error;
    // A peer that has cut the connection already is forgotten by the kernel; the first read will tell.
    if (error == 0) winner_ = {std::move(attempt.socket), peer.size != 0 ? peer : to};
    attempt.socket.reset();
  }

  /// Sleeps until an attempt is settled, the next one is due, the deadline or the cancellation.
  void wait() {
    std::vector<pollfd> waits = {{plugin::cancel_descriptor(cancel_), POLLIN, 0}};
    for (const Attempt& attempt : attempts_) waits.push_back({attempt.socket.get(), POLLOUT, 0});  // -1 is ignored
    const bool more = attempts_.size() < candidates_.size();
    const std::int64_t until = more ? std::min(deadline_ns_, next_start_ns_) : deadline_ns_;
    const int ready = plugin::poll_until(waits.data(), waits.size(), until);
    if (ready == FERRY_WOULD_BLOCK || ready == FERRY_TIMED_OUT) {
      if (plugin::deadline_passed(deadline_ns_)) fail(ready);
      return;
    }
    if (ready < 0) throw Failure(ready, "waiting for the handshake failed");
    if (waits.front().revents != 0) throw Failure(FERRY_INTERRUPTED, "the connect was cancelled");
    for (std::size_t i = 0; !winner_.socket && i < attempts_.size(); ++i) {
      if (waits[i + 1].revents != 0) {
        settle(attempts_[i], candidates_[i], plugin::socket_option(attempts_[i].socket.get(), SOL_SOCKET, SO_ERROR));
      }
    }
  }

  /// The failure that came furthest: a refusal is an answer, the others are none.
  ferry_status overall_status() const {
    const auto refused = [](const Attempt& attempt) { return attempt.error == ECONNREFUSED; };
    if (std::any_of(attempts_.begin(), attempts_.end(), refused)) return FERRY_REFUSED;
    return status_of(attempts_.back().error);
  }

  [[noreturn]] void fail(ferry_status status) const {
    std::string list;
    for (std::size_t i = 0; i < attempts_.size(); ++i) {
      if (i > 0) list += ", ";
      list += candidates_[i].text() + ": ";
      list += attempts_[i].error == 0 ? "no answer yet" : plugin::os_text(attempts_[i].error);
    }
    const std::string hint = advice(status, attempts_.back().error);
    if (!hint.empty()) list += " (" + hint + ")";
    throw Failure(status, std::move(list), attempts_.back().error);
  }

  std::span<const SocketAddress> candidates_;
  const Settings& settings_;
  const std::int64_t deadline_ns_;
  const ferry_cancel* const cancel_;
  std::vector<Attempt> attempts_;  // of the first candidates, in their order
  std::int64_t next_start_ns_ = 0;
  Connected winner_;
};

}  // namespace

UniqueFd open_socket(int address_family, const Settings& settings) {
  const int protocol = settings.mptcp ? IPPROTO_MPTCP : IPPROTO_TCP;
  UniqueFd out(socket(address_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
  if (out) return out;
  const int error = errno;
  if (settings.mptcp && (error == EPROTONOSUPPORT || error == ENOPROTOOPT || error == EINVAL)) {
    throw Failure(FERRY_UNSUPPORTED, "this system has no Multipath TCP (see sysctl net.mptcp.enabled); set mptcp=false",
                  error);
  }
  throw Failure(status_of(error), "cannot open a socket: " + plugin::os_text(error), error);
}

Connected connect_first(std::span<const SocketAddress> candidates, const Settings& settings, std::int64_t deadline_ns,
                        const ferry_cancel* cancel) {
  if (plugin::deadline_passed(deadline_ns)) {
    if (!candidates.front().is_local())
      throw Failure(plugin::out_of_time(deadline_ns), "connecting to another machine takes waiting");
    candidates = candidates.first(1);
  }
  return Race(candidates, settings, deadline_ns, cancel).run();
}

}  // namespace ferry::tcp

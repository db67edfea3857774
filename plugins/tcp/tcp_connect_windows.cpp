#include <algorithm>

#include "ferry/sdk/handle_wait.hpp"
#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/socket_acceptor.hpp"
#include "tcp_windows.hpp"

namespace ferry::tcp {
namespace {

using plugin::Failure;
using plugin::UniqueSocket;

constexpr std::int64_t attempt_delay_ns = 250 * millisecond_ns;  // RFC 8305, section 5
constexpr std::size_t max_attempts = MAXIMUM_WAIT_OBJECTS - 1;   // one handle is for the cancellation

ferry_status status_of(int error) {
  // Windows says so after its own retries of SYN, which says nothing of our deadline.
  return error == WSAETIMEDOUT ? FERRY_UNREACHABLE : plugin::status_of_errno(error);
}

class Race {
 public:
  Race(const std::vector<SocketAddress>& candidates, const Settings& settings, std::int64_t deadline_ns,
       const ferry_cancel* cancel)
      : candidates_(candidates), settings_(settings), deadline_ns_(deadline_ns), cancel_(cancel) {}

  UniqueSocket run() {
    while (!winner_) {
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
    UniqueSocket socket;  // empty when it has failed
    plugin::UniqueHandle event;
    int error = 0;
  };

  bool is_anything_running() const {
    return std::any_of(attempts_.begin(), attempts_.end(), [](const Attempt& attempt) { return bool(attempt.socket); });
  }

  bool may_start() const {
    if (attempts_.size() == std::min(candidates_.size(), max_attempts)) return false;
    return attempts_.empty() || !attempts_.back().socket || plugin::monotonic_ns() >= next_start_ns_;
  }

  void start_next() {
    const SocketAddress& to = candidates_[attempts_.size()];
    next_start_ns_ = plugin::monotonic_ns() + attempt_delay_ns;
    Attempt& attempt = attempts_.emplace_back();
    attempt.socket = plugin::open_stream_socket(to.family(), IPPROTO_TCP);
    attempt.event = plugin::make_event();
    apply_options(attempt.socket.get(), settings_);
    ::WSAEventSelect(attempt.socket.get(), attempt.event.get(), FD_CONNECT);  // also makes the socket non-blocking
    const int error = ::connect(attempt.socket.get(), to.get(), to.size) == 0 ? 0 : ::WSAGetLastError();
    if (error != WSAEWOULDBLOCK) settle(attempt, error);
  }

  /// Takes the result of an attempt. A connect to a free port can draw that very port as its own and meet itself (TCP's
  /// simultaneous open): nobody listens there.
  void settle(Attempt& attempt, int error) {
    const SocketAddress peer = SocketAddress::peer_of(attempt.socket.get());
    if (error == 0 && peer.size != 0 && peer == SocketAddress::local_of(attempt.socket.get())) error = WSAECONNREFUSED;
    attempt.error = error;
    if (error == 0) {
      ::WSAEventSelect(attempt.socket.get(), nullptr, 0);
      winner_ = std::move(attempt.socket);
    }
    attempt.socket.reset();
  }

  /// Sleeps until an attempt is settled, the next one is due, the deadline or the cancellation.
  void wait() {
    std::vector<HANDLE> handles;
    std::vector<Attempt*> waited;
    for (Attempt& attempt : attempts_) {
      if (!attempt.socket) continue;
      handles.push_back(attempt.event.get());
      waited.push_back(&attempt);
    }
    if (cancel_ != nullptr && cancel_->handle != -1) handles.push_back(reinterpret_cast<HANDLE>(cancel_->handle));
    const bool more = attempts_.size() < std::min(candidates_.size(), max_attempts);
    const std::int64_t until = more ? std::min(deadline_ns_, next_start_ns_) : deadline_ns_;
    const int ready = plugin::wait_until(handles, until);
    if (ready == FERRY_WOULD_BLOCK || ready == FERRY_TIMED_OUT) {
      if (plugin::deadline_passed(deadline_ns_)) fail(ready);
      return;
    }
    if (ready < 0) throw Failure(ready, "waiting for the handshake failed");
    if (static_cast<std::size_t>(ready) == waited.size()) throw Failure(FERRY_INTERRUPTED, "the connect was cancelled");
    Attempt& attempt = *waited[static_cast<std::size_t>(ready)];
    WSANETWORKEVENTS events{};
    ::WSAEnumNetworkEvents(attempt.socket.get(), attempt.event.get(), &events);
    if ((events.lNetworkEvents & FD_CONNECT) != 0) settle(attempt, events.iErrorCode[FD_CONNECT_BIT]);
  }

  /// The failure that came furthest: a refusal is an answer, the others are none.
  ferry_status overall_status() const {
    const auto refused = [](const Attempt& attempt) { return attempt.error == WSAECONNREFUSED; };
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
    if (status == FERRY_REFUSED) list += " (nobody listens there; is the service running?)";
    if (status == FERRY_TIMED_OUT) list += " (the host is down, or a firewall drops the packets)";
    throw Failure(status, std::move(list), attempts_.back().error);
  }

  const std::vector<SocketAddress>& candidates_;
  const Settings& settings_;
  const std::int64_t deadline_ns_;
  const ferry_cancel* const cancel_;
  std::vector<Attempt> attempts_;  // of the first candidates, in their order
  std::int64_t next_start_ns_ = 0;
  UniqueSocket winner_;
};

[[noreturn]] void fail_to_listen(const SocketAddress& at, int error) {
  // WSAEACCES is what a port gives that another program holds with SO_EXCLUSIVEADDRUSE.
  const bool taken = error == WSAEADDRINUSE || error == WSAEACCES;
  throw Failure(taken ? FERRY_ADDRESS_IN_USE : plugin::status_of_errno(error),
                at.text() + ": " + plugin::os_text(error) +
                    (taken ? "; somebody listens there already: stop it or choose another port" : ""),
                error);
}

void must_set(SOCKET socket, int level, int option, int value, const char* otherwise) {
  if (::setsockopt(socket, level, option, reinterpret_cast<const char*>(&value), sizeof(value)) == 0) return;
  throw plugin::os_failure(::WSAGetLastError(), otherwise);
}

UniqueSocket listen_at(const SocketAddress& at, bool dual_stack, const Settings& settings) {
  UniqueSocket out = plugin::open_stream_socket(at.family(), IPPROTO_TCP);
  // Without it any other program could bind the same port and take our clients.
  must_set(out.get(), SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1, "cannot have the port to ourselves");
  if (at.family() == AF_INET6) {
    must_set(out.get(), IPPROTO_IPV6, IPV6_V6ONLY, dual_stack ? 0 : 1, "cannot choose between IPv4 and IPv6");
  }
  apply_options(out.get(), settings);
  if (::bind(out.get(), at.get(), at.size) != 0) fail_to_listen(at, ::WSAGetLastError());
  if (::listen(out.get(), settings.backlog) != 0) fail_to_listen(at, ::WSAGetLastError());
  return out;
}

SocketAddress wildcard(int family, std::uint16_t port) {
  SocketAddress out;
  out.storage.ss_family = static_cast<short>(family);
  out.size = family == AF_INET ? int{sizeof(sockaddr_in)} : int{sizeof(sockaddr_in6)};
  reinterpret_cast<sockaddr_in&>(out.storage).sin_port = ::htons(port);  // of both families at the same place
  return out;
}

bool is_not_here(const Failure& failure) noexcept {
  return failure.os_error() == WSAEADDRNOTAVAIL || failure.os_error() == WSAEAFNOSUPPORT;
}

UniqueSocket listen_everywhere(std::uint16_t port, const Settings& settings) {
  if (settings.family == Family::ipv4) return listen_at(wildcard(AF_INET, port), false, settings);
  try {
    return listen_at(wildcard(AF_INET6, port), settings.family == Family::any, settings);
  } catch (const Failure& failure) {
    if (settings.family != Family::any || !is_not_here(failure)) throw;
  }
  return listen_at(wildcard(AF_INET, port), false, settings);
}

}  // namespace

UniqueSocket connect_first(const std::vector<SocketAddress>& candidates, const Settings& settings,
                           std::int64_t deadline_ns, const ferry_cancel* cancel) {
  if (plugin::deadline_passed(deadline_ns)) {
    throw Failure(plugin::out_of_time(deadline_ns), "a TCP handshake takes waiting");
  }
  return Race(candidates, settings, deadline_ns, cancel).run();
}

UniqueSocket open_listening_socket(const plugin::HostAddress& address, const Settings& settings) {
  if (address.kind == plugin::HostKind::every_interface) return listen_everywhere(address.port, settings);
  std::vector<SocketAddress> candidates = resolve(address, settings.family, FERRY_FOREVER, nullptr);
  std::stable_partition(candidates.begin(), candidates.end(),
                        [](const SocketAddress& candidate) { return candidate.family() == AF_INET; });
  for (std::size_t i = 0;; ++i) {
    try {
      return listen_at(candidates[i], false, settings);
    } catch (const Failure& failure) {
      if (!is_not_here(failure) || i + 1 == candidates.size()) throw;
    }
  }
}

}  // namespace ferry::tcp

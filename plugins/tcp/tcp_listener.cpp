#include "tcp_listener.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "ferry/sdk/accept_socket.hpp"
#include "ferry/sdk/os_error.hpp"
#include "tcp_connect.hpp"

namespace ferry::tcp {
namespace {

using plugin::Failure;
using plugin::UniqueFd;

std::string advice(int error) {
  switch (error) {
    case EADDRINUSE:
      return "; somebody listens there already: stop it or choose another port";
    case EACCES:
      return "; ports below net.ipv4.ip_unprivileged_port_start (1024) need CAP_NET_BIND_SERVICE";
    case EADDRNOTAVAIL:
      return "; no interface of this machine has this address";
    default:
      return {};
  }
}

[[noreturn]] void fail(const SocketAddress& at, int error) {
  throw Failure(plugin::status_of_errno(error), at.text() + ": " + plugin::os_text(error) + advice(error), error);
}

UniqueFd listen_at(const SocketAddress& at, bool dual_stack, const Settings& settings) {
  UniqueFd out = open_socket(at.family(), settings);
  // Without SO_REUSEADDR a restarted service would have to wait a minute for its old connections' TIME_WAIT; on Linux
  // it does not let two sockets listen at one port.
  plugin::set_socket_option(out.get(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
  if (settings.reuse_port) plugin::set_socket_option(out.get(), SOL_SOCKET, SO_REUSEPORT, 1, "reuse_port");
  if (at.family() == AF_INET6) {
    plugin::set_socket_option(out.get(), IPPROTO_IPV6, IPV6_V6ONLY, dual_stack ? 0 : 1, "family");
  }
  apply_all(out.get(), settings);
  if (bind(out.get(), at.get(), at.size) != 0) fail(at, errno);
  if (listen(out.get(), settings.backlog) != 0) fail(at, errno);
  return out;
}

SocketAddress wildcard(int family, std::uint16_t port) {
  SocketAddress out;
  out.storage.ss_family = static_cast<sa_family_t>(family);
  if (family == AF_INET) {
    out.size = sizeof(sockaddr_in);
    reinterpret_cast<sockaddr_in&>(out.storage).sin_port = htons(port);
  } else {
    out.size = sizeof(sockaddr_in6);
    reinterpret_cast<sockaddr_in6&>(out.storage).sin6_port = htons(port);
  }
  return out;
}

UniqueFd listen_everywhere(std::uint16_t port, const Settings& settings) {
  if (settings.family == Family::ipv4) return listen_at(wildcard(AF_INET, port), false, settings);
  try {
    return listen_at(wildcard(AF_INET6, port), settings.family == Family::any, settings);
  } catch (const Failure& failure) {
    const bool no_ipv6 = failure.os_error() == EAFNOSUPPORT || failure.os_error() == EADDRNOTAVAIL;
    if (settings.family != Family::any || !no_ipv6) throw;
  }
  return listen_at(wildcard(AF_INET, port), false, settings);
}

}  // namespace

UniqueFd open_listening_socket(const plugin::HostAddress& address, const Settings& settings) {
  if (address.kind == plugin::HostKind::every_interface) return listen_everywhere(address.port, settings);
  std::vector<SocketAddress> candidates = plugin::resolve(address, settings.family, FERRY_FOREVER, nullptr);
  // "localhost" is ::1 and 127.0.0.1; clients that try one address only expect the latter.
  std::stable_partition(candidates.begin(), candidates.end(),
                        [](const SocketAddress& candidate) { return candidate.family() == AF_INET; });
  for (std::size_t i = 0;; ++i) {
    try {
      return listen_at(candidates[i], false, settings);
    } catch (const Failure& failure) {
      const bool not_here = failure.os_error() == EADDRNOTAVAIL || failure.os_error() == EAFNOSUPPORT;
      if (!not_here || i + 1 == candidates.size()) throw;
    }
  }
}

std::unique_ptr<TcpConnection> TcpListener::accept(std::int64_t deadline_ns, ferry_status& why_not) {
  UniqueFd socket;
  plugin::PeerAddress peer;
  why_not = plugin::accept_socket(socket_.get(), interrupt_, deadline_ns, socket, &peer);
  if (why_not == FERRY_NO_RESOURCES) {
    const int error = errno;
    throw Failure(why_not, plugin::os_text(error) + "; raise the limit (ulimit -n) or close connections", error);
  }
  if (why_not != FERRY_OK) return nullptr;
  apply_reconfigured(socket.get());
  return std::make_unique<TcpConnection>(std::move(socket), SocketAddress{peer.storage, peer.size});
}

ferry_status TcpListener::pollable(ferry_pollable& out) const noexcept {
  out.handle = socket_.get();
  out.events = FERRY_POLL_IN;
  return FERRY_OK;
}

void TcpListener::reconfigure(plugin::Options options) {
  const Settings settings(options);
  const std::scoped_lock lock(mutex_);
  apply_reloadable(socket_.get(), settings);  // also says at once what the kernel refuses
  reconfigured_ = settings;
}

void TcpListener::apply_reconfigured(int fd) {
  const std::scoped_lock lock(mutex_);
  if (reconfigured_) apply_reloadable(fd, *reconfigured_);
}

}  // namespace ferry::tcp

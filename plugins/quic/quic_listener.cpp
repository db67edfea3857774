#include "quic_listener.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/poll_wait.hpp"
#include "quic_drive.hpp"
#include "quic_wait.hpp"

namespace ferry::quic {
namespace {

using plugin::Failure;

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

UdpSocket bind_at(const SocketAddress& at, bool dual_stack) {
  try {
    return UdpSocket::bound(at, dual_stack);
  } catch (const Failure& failure) {
    throw Failure(failure.status(), at.text() + ": " + failure.what() + advice(failure.os_error()), failure.os_error());
  }
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

bool is_not_here(const Failure& failure) noexcept {
  return failure.os_error() == EADDRNOTAVAIL || failure.os_error() == EAFNOSUPPORT;
}

/// Where to listen, the best first.
std::vector<SocketAddress> places(const plugin::HostAddress& address) {
  if (address.kind == plugin::HostKind::every_interface) {
    return {wildcard(AF_INET6, address.port), wildcard(AF_INET, address.port)};
  }
  auto out = plugin::resolve(address, plugin::AddressFamily::any, FERRY_FOREVER, nullptr);
  // "localhost" is ::1 and 127.0.0.1; clients that try one address only expect the latter.
  std::stable_partition(out.begin(), out.end(),
                        [](const SocketAddress& candidate) { return candidate.family() == AF_INET; });
  return out;
}

/// The port at `at`, where a listener that was closed has left it to its connections; else null.
std::shared_ptr<Acceptor> abandoned(Engine& engine, const SocketAddress& at) {
  for (const auto& acceptor : engine.acceptors()) {
    if (!acceptor->is_open() && acceptor->socket().local() == at) return acceptor;
  }
  return nullptr;
}

std::shared_ptr<Acceptor> acceptor_at(Engine& engine, const plugin::HostAddress& address) {
  const bool everywhere = address.kind == plugin::HostKind::every_interface;
  const std::vector<SocketAddress> candidates = places(address);
  for (std::size_t i = 0;; ++i) {
    {
      const Engine::Inside inside(engine);
      if (auto found = abandoned(engine, candidates[i])) return found;
    }
    try {
      return std::make_shared<Acceptor>(engine, bind_at(candidates[i], everywhere));
    } catch (const Failure& failure) {
      if (!is_not_here(failure) || i + 1 == candidates.size()) throw;
    }
  }
}

}  // namespace

QuicListener::QuicListener(Engine& engine, const plugin::HostAddress& address, std::shared_ptr<const Settings> settings,
                           CredentialsCache& cache, std::shared_ptr<const Credentials> credentials)
    : engine_(engine),
      cache_(cache),
      settings_(std::move(settings)),
      credentials_(std::move(credentials)),
      acceptor_(acceptor_at(engine, address)) {
  if (settings_->early_data) warn_of_early_data(engine_, "quic " + local_address());
  const Engine::Inside inside(engine_);
  acceptor_->open(settings_, credentials_);
}

QuicListener::~QuicListener() {
  if (looped_) engine_.sleep_ends();
  const Engine::Inside inside(engine_);
  acceptor_->close();
}

const void* QuicListener::extension(std::string_view id) noexcept {
  return id == FERRY_EXT_DRIVE ? &drive_table : nullptr;
}

std::unique_ptr<QuicConnection> QuicListener::accept(std::int64_t deadline_ns, ferry_status& why_not) {
  for (;;) {
    Acceptor::Next next = acceptor_->take();
    if (next.session != nullptr) return std::make_unique<QuicConnection>(engine_, next.session->primary());
    if (next.refusal != FERRY_OK) throw Failure(next.refusal, next.why);
    why_not = interrupted_.load(std::memory_order_seq_cst) ? FERRY_INTERRUPTED : plugin::out_of_time(deadline_ns);
    if (why_not == FERRY_INTERRUPTED || plugin::deadline_passed(deadline_ns)) return nullptr;
    wait_once(engine_, acceptor_->wakeup(), deadline_ns,
              [this] { return acceptor_->has_next() || interrupted_.load(std::memory_order_seq_cst); });
  }
}

void QuicListener::effective(ferry_value* values, std::uint32_t count) const {
  const std::scoped_lock lock(mutex_);
  read_back(*settings_, values, count);
}

void QuicListener::reconfigure(plugin::Options options) {
  auto settings = open_logs(options, engine_.host());
  auto credentials = cache_.get(*settings, true);
  const std::scoped_lock lock(mutex_);
  if (credentials != credentials_) {
    engine_.log(FERRY_LOG_INFO, "quic " + local_address() + ": the files of certificates and keys were read again");
  }
  if (settings->early_data && !settings_->early_data) warn_of_early_data(engine_, "quic " + local_address());
  settings_ = std::move(settings);
  credentials_ = std::move(credentials);
  const Engine::Inside inside(engine_);
  acceptor_->open(settings_, credentials_);
}

std::int32_t QuicListener::arm() noexcept {
  if (acceptor_->has_next()) return FERRY_READY;
  if (!std::exchange(looped_, true)) engine_.sleep_begins();
  if (!acceptor_->wakeup().arm()) return FERRY_NO_RESOURCES;
  if (!acceptor_->has_next()) return FERRY_ARMED;
  acceptor_->wakeup().disarm();
  return FERRY_READY;
}

ferry_status QuicListener::pollable(ferry_pollable& out) noexcept {
  const int fd = acceptor_->wakeup().descriptor();
  if (fd < 0) return FERRY_NO_RESOURCES;
  out.handle = fd;
  out.events = FERRY_POLL_IN;
  return FERRY_OK;
}

void QuicListener::interrupt() noexcept {
  interrupted_.store(true, std::memory_order_seq_cst);  // pairs with accept
  acceptor_->wakeup().notify();
}

}  // namespace ferry::quic

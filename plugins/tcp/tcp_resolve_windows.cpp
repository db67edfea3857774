#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <system_error>
#include <thread>

#include "ferry/sdk/handle_wait.hpp"
#include "ferry/sdk/os_error.hpp"
#include "tcp_windows.hpp"

namespace ferry::tcp {
namespace {

using plugin::Failure;

constexpr int max_pending = 64;
constexpr std::size_t max_results = 16;

/// Everything a look-up touches; shared by the caller and the thread, and freed by whichever lets go last.
struct Query {
  Query(const plugin::HostAddress& address, Family family) : host(address.host), port(std::to_string(address.port)) {
    hints.ai_family = family == Family::any ? AF_UNSPEC : family == Family::ipv4 ? AF_INET : AF_INET6;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = IPPROTO_TCP;
    hints.ai_flags = AI_NUMERICSERV | (address.kind == plugin::HostKind::name ? 0 : AI_NUMERICHOST);
  }

  void run() noexcept {
    addrinfo* list = nullptr;
    error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list);
    for (const addrinfo* entry = list; entry != nullptr && count < max_results; entry = entry->ai_next) {
      if (entry->ai_addrlen > sizeof(sockaddr_storage)) continue;
      std::memcpy(&results[count].storage, entry->ai_addr, entry->ai_addrlen);
      results[count].size = static_cast<int>(entry->ai_addrlen);
      ++count;
    }
    if (list != nullptr) ::freeaddrinfo(list);
  }

  const std::string host;
  const std::string port;
  addrinfo hints{};
  int error = 0;
  std::array<SocketAddress, max_results> results;
  std::size_t count = 0;
  plugin::UniqueHandle finished = plugin::make_event();
};

std::vector<SocketAddress> results_of(const Query& query) {
  if (query.error != 0) {
    const ferry_status status = query.error == WSATRY_AGAIN            ? FERRY_UNREACHABLE
                                : query.error == WSAHOST_NOT_FOUND     ? FERRY_NOT_FOUND
                                : query.error == WSANO_DATA            ? FERRY_NOT_FOUND
                                : query.error == WSA_NOT_ENOUGH_MEMORY ? FERRY_NO_RESOURCES
                                                                       : FERRY_IO;
    throw Failure(status,
                  "host '" + query.host + "': " + plugin::os_text(query.error) +
                      "; check its spelling, the family option and the network",
                  query.error);
  }
  if (query.count == 0) throw Failure(FERRY_NOT_FOUND, "host '" + query.host + "' has no address");
  return {query.results.begin(), query.results.begin() + static_cast<std::ptrdiff_t>(query.count)};
}

std::atomic<int> pending = 0;  // relaxed: a count that nothing else depends on

std::thread start(const std::shared_ptr<Query>& query) {
  if (pending.fetch_add(1, std::memory_order_relaxed) >= max_pending) {
    pending.fetch_sub(1, std::memory_order_relaxed);
    throw Failure(FERRY_NO_RESOURCES,
                  std::to_string(max_pending) + " look-ups hang already; does the name server answer?");
  }
  try {
    return std::thread([owned = query] {
      owned->run();
      ::SetEvent(owned->finished.get());
      pending.fetch_sub(1, std::memory_order_relaxed);
    });
  } catch (const std::system_error& error) {
    pending.fetch_sub(1, std::memory_order_relaxed);
    throw Failure(FERRY_NO_RESOURCES, "cannot start a thread for the look-up: " + std::string(error.what()));
  }
}

}  // namespace

std::string SocketAddress::text() const {
  char host[NI_MAXHOST] = "";
  char port[NI_MAXSERV] = "0";
  if (::getnameinfo(get(), size, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "";
  return plugin::format_host_address(host, static_cast<std::uint16_t>(std::strtoul(port, nullptr, 10)));
}

SocketAddress SocketAddress::local_of(SOCKET socket) noexcept {
  SocketAddress out;
  out.size = sizeof(out.storage);
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&out.storage), &out.size) != 0) out.size = 0;
  return out;
}

SocketAddress SocketAddress::peer_of(SOCKET socket) noexcept {
  SocketAddress out;
  out.size = sizeof(out.storage);
  if (::getpeername(socket, reinterpret_cast<sockaddr*>(&out.storage), &out.size) != 0) out.size = 0;
  return out;
}

bool operator==(const SocketAddress& left, const SocketAddress& right) noexcept {
  return left.size == right.size &&
         std::memcmp(&left.storage, &right.storage, static_cast<std::size_t>(left.size)) == 0;
}

std::vector<SocketAddress> resolve(const plugin::HostAddress& address, Family family, std::int64_t deadline_ns,
                                   const ferry_cancel* cancel) {
  const auto query = std::make_shared<Query>(address, family);
  if (address.kind != plugin::HostKind::name) {
    query->run();
    return results_of(*query);
  }
  if (plugin::deadline_passed(deadline_ns)) {
    throw Failure(plugin::out_of_time(deadline_ns), "looking a host name up takes waiting");
  }
  std::thread thread = start(query);
  const ferry_status status = plugin::wait_signalled(query->finished.get(), deadline_ns, cancel);
  if (status != FERRY_OK) {
    thread.detach();
    throw Failure(status, "the address of '" + query->host + "' was not told in time");
  }
  thread.join();  // it has nothing left to do, and what it wrote is ours to read from here on
  return results_of(*query);
}

}  // namespace ferry::tcp

#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>
#include <thread>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/poll_wait.hpp"
#include "ferry/sdk/resolve.hpp"
#include "ferry/sdk/signal_block.hpp"
#include "ferry/sdk/unique_fd.hpp"

namespace ferry::plugin {
namespace {

std::atomic<int> pending_count = 0;

struct AddressListDeleter {
  void operator()(addrinfo* list) const noexcept { freeaddrinfo(list); }
};

int address_family(AddressFamily family) {
  switch (family) {
    case AddressFamily::ipv4:
      return AF_INET;
    case AddressFamily::ipv6:
      return AF_INET6;
    case AddressFamily::any:
      break;
  }
  return AF_UNSPEC;
}

/// Everything a look-up touches; shared by the caller and the thread, and freed by whichever lets go last.
struct Query {
  Query(const HostAddress& address, AddressFamily family, Lookup look_up)
      : host(address.host), port(std::to_string(address.port)), lookup(look_up) {
    hints.ai_family = address_family(family);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_protocol = IPPROTO_TCP;
    // Not AI_ADDRCONFIG: it makes "localhost" unknown on a machine whose only interface is loopback, and an address
    // without a route fails at once in the race anyhow.
    hints.ai_flags = AI_NUMERICSERV | (address.kind == HostKind::name ? 0 : AI_NUMERICHOST);
  }

  void run() noexcept {
    addrinfo* list = nullptr;
    error = lookup(host.c_str(), port.c_str(), &hints, &list);
    os_error = errno;
    const std::unique_ptr<addrinfo, AddressListDeleter> owner(error == 0 ? list : nullptr);
    for (const addrinfo* entry = owner.get(); entry != nullptr && count < max_results; entry = entry->ai_next) {
      if (entry->ai_addrlen > sizeof(sockaddr_storage)) continue;
      std::memcpy(&results[count].storage, entry->ai_addr, entry->ai_addrlen);
      results[count].size = entry->ai_addrlen;
      ++count;
    }
  }

  const std::string host;
  const std::string port;
  const Lookup lookup;
  addrinfo hints{};
  int error = 0;  // EAI_…
  int os_error = 0;
  SocketAddress results[max_results];
  std::size_t count = 0;
  UniqueFd finished;  // an eventfd, readable when done
};

[[noreturn]] void throw_resolver_error(const Query& query) {
  const std::string text = query.error == EAI_SYSTEM ? os_text(query.os_error) : std::string(gai_strerror(query.error));
  switch (query.error) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
      throw Failure(FERRY_NOT_FOUND,
                    "host '" + query.host + "': " + text + "; check its spelling and the family option");
    case EAI_AGAIN:
      throw Failure(FERRY_UNREACHABLE, "host '" + query.host + "': " + text +
                                           "; the name server does not answer: check the network and /etc/resolv.conf");
    case EAI_MEMORY:
      throw Failure(FERRY_NO_RESOURCES, "host '" + query.host + "': " + text);
    default:
      break;
  }
  const bool exhausted = query.error == EAI_SYSTEM && (query.os_error == EMFILE || query.os_error == ENFILE);
  throw Failure(exhausted ? FERRY_NO_RESOURCES : FERRY_IO, "host '" + query.host + "': " + text,
                query.error == EAI_SYSTEM ? query.os_error : 0);
}

std::vector<SocketAddress> results_of(const Query& query) {
  if (query.error != 0) throw_resolver_error(query);
  if (query.count == 0) throw Failure(FERRY_NOT_FOUND, "host '" + query.host + "' has no address");
  return {query.results, query.results + query.count};
}

/// One of the process's look-ups; counts itself.
class LookupSlot {
 public:
  LookupSlot() {
    if (pending_count.fetch_add(1, std::memory_order_relaxed) < max_pending_lookups) return;
    pending_count.fetch_sub(1, std::memory_order_relaxed);
    throw Failure(FERRY_NO_RESOURCES,
                  std::to_string(max_pending_lookups) + " look-ups hang already; does the name server answer?");
  }
  ~LookupSlot() {
    if (counted_) pending_count.fetch_sub(1, std::memory_order_relaxed);
  }
  LookupSlot(LookupSlot&& other) noexcept : counted_(std::exchange(other.counted_, false)) {}
  LookupSlot& operator=(LookupSlot&&) = delete;

 private:
  bool counted_ = true;
};

std::thread start(const std::shared_ptr<Query>& query) {
  LookupSlot slot;
  query->finished.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!query->finished) throw Failure(FERRY_NO_RESOURCES, "out of descriptors for a look-up", errno);
  const SignalBlock block;
  try {
    return std::thread([owned = query, slot = std::move(slot)]() mutable {
      owned->run();
      eventfd_write(owned->finished.get(), 1);
      owned.reset();  // before the slot, which says that nothing of this look-up is left
    });
  } catch (const std::system_error& error) {
    throw Failure(FERRY_NO_RESOURCES, "cannot start a thread for the look-up: " + std::string(error.what()),
                  error.code().value());
  }
}

/// FERRY_OK once the look-up has ended; or why not to wait for it any longer.
ferry_status await(const Query& query, std::int64_t deadline_ns, const ferry_cancel* cancel) noexcept {
  pollfd waits[] = {{query.finished.get(), POLLIN, 0}, {cancel_descriptor(cancel), POLLIN, 0}};
  const int ready = poll_until(waits, 2, deadline_ns);
  if (ready < 0) return ready;
  return waits[0].revents != 0 ? FERRY_OK : FERRY_INTERRUPTED;
}

[[noreturn]] void throw_given_up(const Query& query, ferry_status status) {
  switch (status) {
    case FERRY_TIMED_OUT:
      throw Failure(status, "the name server did not tell the address of '" + query.host + "' in time");
    case FERRY_INTERRUPTED:
      throw Failure(status, "cancelled while '" + query.host + "' was looked up");
    default:
      throw Failure(status, "waiting for the look-up of '" + query.host + "' failed");
  }
}

}  // namespace

bool SocketAddress::is_local() const noexcept {
  if (family() == AF_INET) {
    const in_addr_t host = ntohl(reinterpret_cast<const sockaddr_in*>(&storage)->sin_addr.s_addr);
    return host >> 24 == IN_LOOPBACKNET || host == INADDR_ANY;
  }
  const in6_addr& host = reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr;
  return family() == AF_INET6 && (IN6_IS_ADDR_LOOPBACK(&host) || IN6_IS_ADDR_UNSPECIFIED(&host));
}

std::string SocketAddress::text() const {
  char host[NI_MAXHOST] = "";
  char port[NI_MAXSERV] = "0";
  if (getnameinfo(get(), size, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) return "";
  return format_host_address(host, static_cast<std::uint16_t>(std::strtoul(port, nullptr, 10)));
}

SocketAddress SocketAddress::local_of(int fd) noexcept {
  SocketAddress out;
  out.size = sizeof(out.storage);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&out.storage), &out.size) != 0) out.size = 0;
  return out;
}

SocketAddress SocketAddress::peer_of(int fd) noexcept {
  SocketAddress out;
  out.size = sizeof(out.storage);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&out.storage), &out.size) != 0) out.size = 0;
  return out;
}

bool operator==(const SocketAddress& left, const SocketAddress& right) noexcept {
  return left.size == right.size && std::memcmp(&left.storage, &right.storage, left.size) == 0;
}

int pending_lookups() noexcept { return pending_count.load(std::memory_order_relaxed); }

std::vector<SocketAddress> resolve(const HostAddress& address, AddressFamily family, std::int64_t deadline_ns,
                                   const ferry_cancel* cancel, Lookup lookup) {
  const auto query = std::make_shared<Query>(address, family, lookup);
  if (address.kind != HostKind::name) {
    query->run();
    return results_of(*query);
  }
  if (deadline_passed(deadline_ns)) {
    throw Failure(out_of_time(deadline_ns), "looking a host name up takes waiting");
  }
  std::thread thread = start(query);
  const ferry_status status = await(*query, deadline_ns, cancel);
  if (status != FERRY_OK) {
    thread.detach();
    throw_given_up(*query, status);
  }
  thread.join();  // it has nothing left to do, and what it wrote is ours to read from here on
  return results_of(*query);
}

}  // namespace ferry::plugin

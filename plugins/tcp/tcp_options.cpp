#include "tcp_options.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <set>
#include <string_view>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/socket_options.hpp"

// Constants of <linux/mptcp.h>, which cannot be included beside <netinet/tcp.h> everywhere.
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef SOL_MPTCP
#define SOL_MPTCP 284
#endif

namespace ferry::tcp {
namespace {

using plugin::Failure;

void set_congestion(int fd, const std::string& name) {
  if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size())) == 0) return;
  const int error = errno;
  if (error == ENOENT) {
    throw Failure(FERRY_UNSUPPORTED,
                  "this kernel has no congestion control '" + name +
                      "'; /proc/sys/net/ipv4/tcp_available_congestion_control lists what there is",
                  error);
  }
  if (error == EPERM) {
    throw Failure(FERRY_PERMISSION,
                  "congestion control '" + name +
                      "' is kept for administrators; add it to net.ipv4.tcp_allowed_congestion_control",
                  error);
  }
  throw plugin::os_failure(error, "setting option 'congestion' to " + name);
}

/// A static copy of `text`. The kernel's list of algorithms is short, so the set stays small.
const char* interned(std::string_view text) {
  static std::mutex mutex;
  static std::set<std::string, std::less<>> names;
  const std::scoped_lock lock(mutex);
  const auto found = names.find(text);
  return (found != names.end() ? found : names.emplace(text).first)->c_str();
}

/// Writes into values[option] where the caller has room for it.
class Effective {
 public:
  Effective(int fd, ferry_value* values, std::uint32_t count) : fd_(fd), values_(values), count_(count) {}

  void integer(Option option, std::int64_t value) const {
    if (option < count_) values_[option] = {value, nullptr, 1, 0};
  }
  void text(Option option, const char* value) const {
    if (option < count_) values_[option] = {0, value, 1, 0};
  }
  void socket_option(Option option, int level, int name, std::int64_t unit) const {
    const int value = plugin::socket_option(fd_, level, name);
    if (value >= 0) integer(option, value * unit);
  }

 private:
  int fd_;
  ferry_value* values_;
  std::uint32_t count_;
};

/// Whether Multipath TCP is in force: the kernel keeps a socket's protocol number when the peer made it fall back.
bool is_multipath(int fd) {
  if (plugin::socket_option(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_MPTCP) return false;
  sockaddr_storage peer;
  socklen_t peer_size = sizeof(peer);
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0)
    return true;                              // nobody to fall back with yet
  constexpr int mptcp_info_option = 1;        // MPTCP_INFO
  constexpr std::uint32_t fallback_flag = 1;  // MPTCP_INFO_FLAG_FALLBACK
  struct {
    std::uint8_t counters[8];
    std::uint32_t flags;
  } info{};
  socklen_t size = sizeof(info);
  return getsockopt(fd, SOL_MPTCP, mptcp_info_option, &info, &size) == 0 && (info.flags & fallback_flag) == 0;
}

void read_back_address_family(int fd, const Effective& effective) {
  sockaddr_storage local{};
  socklen_t size = sizeof(local);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) != 0) return;
  const bool dual = local.ss_family == AF_INET6 && plugin::socket_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0 &&
                    IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6&>(local).sin6_addr);
  effective.text(option_family, family_choices[dual ? 0 : local.ss_family == AF_INET ? 1 : 2]);
}

}  // namespace

void apply_reloadable(int fd, const Settings& settings) {
  const auto put = [&](Option option, int level, int name, int value) {
    if (setsockopt(fd, level, name, &value, sizeof(value)) == 0) return;
    const int error = errno;
    // Multipath sockets lack some of these, fewer with each kernel. That is an error only to who asked for one; the
    // others see it in what is in force.
    const bool missing = error == EOPNOTSUPP || error == ENOPROTOOPT;
    if (missing && !settings.explicit_options.test(option)) return;
    throw plugin::os_failure(error, "setting option '" + std::string(option_table[option].name) + "' to " +
                                        std::to_string(value) + (missing && settings.mptcp ? " with mptcp" : ""));
  };
  put(option_nodelay, IPPROTO_TCP, TCP_NODELAY, settings.nodelay);
  put(option_keepalive, SOL_SOCKET, SO_KEEPALIVE, settings.keepalive);
  put(option_keepalive_idle, IPPROTO_TCP, TCP_KEEPIDLE, settings.keepalive_idle_s);
  put(option_keepalive_interval, IPPROTO_TCP, TCP_KEEPINTVL, settings.keepalive_interval_s);
  put(option_keepalive_count, IPPROTO_TCP, TCP_KEEPCNT, settings.keepalive_count);
  put(option_user_timeout, IPPROTO_TCP, TCP_USER_TIMEOUT, settings.user_timeout_ms);
  if (!settings.congestion.empty()) set_congestion(fd, settings.congestion);
}

void apply_all(int fd, const Settings& settings) {
  set_socket_buffers(fd, settings.buffers);
  apply_reloadable(fd, settings);
}

void read_back(int fd, ferry_value* values, std::uint32_t count) {
  std::fill_n(values, count, ferry_value{});
  const Effective effective(fd, values, count);
  effective.socket_option(option_nodelay, IPPROTO_TCP, TCP_NODELAY, 1);
  effective.socket_option(option_keepalive, SOL_SOCKET, SO_KEEPALIVE, 1);
  effective.socket_option(option_keepalive_idle, IPPROTO_TCP, TCP_KEEPIDLE, second_ns);
  effective.socket_option(option_keepalive_interval, IPPROTO_TCP, TCP_KEEPINTVL, second_ns);
  effective.socket_option(option_keepalive_count, IPPROTO_TCP, TCP_KEEPCNT, 1);
  const int user_timeout_ms = plugin::socket_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT);
  if (user_timeout_ms > 0) effective.integer(option_user_timeout, user_timeout_ms * millisecond_ns);  // 0: unset
  effective.socket_option(option_sndbuf, SOL_SOCKET, SO_SNDBUF, 1);  // granted_socket_buffers tells why it is doubled
  effective.socket_option(option_rcvbuf, SOL_SOCKET, SO_RCVBUF, 1);
  char congestion[16] = {};  // TCP_CA_NAME_MAX
  socklen_t size = sizeof(congestion);
  if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion, &size) == 0) {
    effective.text(option_congestion, interned({congestion, strnlen(congestion, sizeof(congestion))}));
  }
  effective.integer(option_mptcp, is_multipath(fd));
  read_back_address_family(fd, effective);
  tcp_info info{};
  size = sizeof(info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && info.tcpi_state == TCP_LISTEN) {
    effective.integer(option_backlog, info.tcpi_sacked);  // the kernel's tcp_get_info tells a listener's limit there
    effective.socket_option(option_reuse_port, SOL_SOCKET, SO_REUSEPORT, 1);
  }
}

}  // namespace ferry::tcp

#include <algorithm>
#include <string>

#include "ferry/sdk/os_error.hpp"
#include "tcp_windows.hpp"

namespace ferry::tcp {
namespace {

using plugin::Failure;

// Of ws2ipdef.h, where mingw-w64 10 lacks them.
constexpr int tcp_keepidle = 3;
constexpr int tcp_maxrt = 5;
constexpr int tcp_keepcnt = 16;
constexpr int tcp_keepintvl = 17;

int option_of(SOCKET socket, int level, int name) noexcept {
  int value = 0;
  int size = sizeof(value);
  return ::getsockopt(socket, level, name, reinterpret_cast<char*>(&value), &size) == 0 ? value : -1;
}

/// Windows has neither; saying so beats ignoring what somebody asked for.
void refuse_what_is_missing(const Settings& settings) {
  for (const Option option : {option_congestion, option_mptcp, option_reuse_port}) {
    const bool wanted = option == option_congestion ? !settings.congestion.empty()
                        : option == option_mptcp    ? settings.mptcp
                                                    : settings.reuse_port;
    if (wanted) {
      throw Failure(FERRY_UNSUPPORTED,
                    "Windows has no '" + std::string(option_table[option].name) + "'; leave the option out");
    }
  }
}

}  // namespace

void apply_options(SOCKET socket, const Settings& settings) {
  refuse_what_is_missing(settings);
  const auto put = [&](Option option, int level, int name, int value) {
    if (::setsockopt(socket, level, name, reinterpret_cast<const char*>(&value), sizeof(value)) == 0) return;
    const int error = ::WSAGetLastError();
    // Older systems lack some of these. That is an error only to who asked for one.
    const bool missing = error == WSAENOPROTOOPT || error == WSAEOPNOTSUPP || error == WSAEINVAL;
    if (missing && !settings.explicit_options.test(option)) return;
    throw plugin::os_failure(
        error, "setting option '" + std::string(option_table[option].name) + "' to " + std::to_string(value));
  };
  if (settings.buffers.send > 0) put(option_sndbuf, SOL_SOCKET, SO_SNDBUF, static_cast<int>(settings.buffers.send));
  if (settings.buffers.receive > 0)
    put(option_rcvbuf, SOL_SOCKET, SO_RCVBUF, static_cast<int>(settings.buffers.receive));
  put(option_nodelay, IPPROTO_TCP, TCP_NODELAY, settings.nodelay);
  put(option_keepalive, SOL_SOCKET, SO_KEEPALIVE, settings.keepalive);
  put(option_keepalive_idle, IPPROTO_TCP, tcp_keepidle, settings.keepalive_idle_s);
  put(option_keepalive_interval, IPPROTO_TCP, tcp_keepintvl, settings.keepalive_interval_s);
  put(option_keepalive_count, IPPROTO_TCP, tcp_keepcnt, settings.keepalive_count);
  if (settings.user_timeout_ms > 0) {
    put(option_user_timeout, IPPROTO_TCP, tcp_maxrt, (settings.user_timeout_ms + 999) / 1000);  // in whole seconds
  }
}

void read_back(SOCKET socket, ferry_value* values, std::uint32_t count) {
  std::fill_n(values, count, ferry_value{});
  const auto note = [&](Option option, int level, int name, std::int64_t unit) {
    const int value = option_of(socket, level, name);
    if (option < count && value >= 0) values[option] = {value * unit, nullptr, 1, 0};
  };
  note(option_nodelay, IPPROTO_TCP, TCP_NODELAY, 1);
  note(option_keepalive, SOL_SOCKET, SO_KEEPALIVE, 1);
  note(option_keepalive_idle, IPPROTO_TCP, tcp_keepidle, second_ns);
  note(option_keepalive_interval, IPPROTO_TCP, tcp_keepintvl, second_ns);
  note(option_keepalive_count, IPPROTO_TCP, tcp_keepcnt, 1);
  note(option_sndbuf, SOL_SOCKET, SO_SNDBUF, 1);
  note(option_rcvbuf, SOL_SOCKET, SO_RCVBUF, 1);
  for (const Option option : {option_mptcp, option_reuse_port}) {
    if (option < count) values[option] = {0, nullptr, 1, 0};
  }
  const SocketAddress local = SocketAddress::local_of(socket);
  if (option_family < count && local.size != 0) {
    const bool dual = local.family() == AF_INET6 && option_of(socket, IPPROTO_IPV6, IPV6_V6ONLY) == 0 &&
                      IN6_IS_ADDR_UNSPECIFIED(&reinterpret_cast<const sockaddr_in6&>(local.storage).sin6_addr);
    values[option_family] = {0, family_choices[dual ? 0 : local.family() == AF_INET ? 1 : 2], 1, 0};
  }
}

}  // namespace ferry::tcp

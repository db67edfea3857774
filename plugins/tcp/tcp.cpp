// The tcp transport plugin: its description and the transport object. See README.md.
#include <algorithm>
#include <fstream>

#include "tcp_connect.hpp"
#include "tcp_connection.hpp"
#include "tcp_description.hpp"
#include "tcp_listener.hpp"
#include "tcp_options.hpp"

namespace ferry::tcp {
namespace {

/// Has no state: all settings come with each call.
class TcpTransport : public plugin::Transport<TcpTransport> {
 public:
  TcpTransport(const ferry_host&, plugin::Options) noexcept {}

  std::unique_ptr<TcpConnection> connect(const char* address, plugin::Options options, std::int64_t deadline_ns,
                                         const ferry_cancel* cancel, ferry_status&) {
    const plugin::HostAddress target = plugin::parse_host_address(address);
    plugin::require_dialable(target);
    const Settings settings(options);
    const auto candidates = interleave(plugin::resolve(target, settings.family, deadline_ns, cancel));
    Connected connected = connect_first(candidates, settings, deadline_ns, cancel);
    return std::make_unique<TcpConnection>(std::move(connected.socket), connected.peer);
  }

  std::unique_ptr<TcpListener> listen(const char* address, plugin::Options options) {
    return std::make_unique<TcpListener>(open_listening_socket(plugin::parse_host_address(address), Settings(options)));
  }

  static void check_address(std::string_view address) { plugin::parse_host_address(address); }

  void effective(plugin::Options options, ferry_value* values, std::uint32_t count) {
    const Settings settings(options);
    const plugin::UniqueFd socket = open_socket(settings.family == Family::ipv6 ? AF_INET6 : AF_INET, settings);
    apply_all(socket.get(), settings);
    read_back(socket.get(), values, count);
    if (option_family < count) values[option_family].text = family_choices[static_cast<int>(settings.family)];
    if (option_reuse_port < count) values[option_reuse_port] = {settings.reuse_port, nullptr, 1, 0};
    if (option_backlog < count) values[option_backlog] = {granted_backlog(settings.backlog), nullptr, 1, 0};
  }

 private:
  /// The kernel caps a listener's backlog without a word (listen(2)).
  static int granted_backlog(int wanted) {
    int cap = wanted;
    std::ifstream("/proc/sys/net/core/somaxconn") >> cap;
    return std::min(wanted, cap);
  }
};

}  // namespace
}  // namespace ferry::tcp

FERRY_PLUGIN(ferry::tcp::TcpTransport, (ferry::tcp::description));

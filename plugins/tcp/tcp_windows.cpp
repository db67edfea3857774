// The tcp transport plugin on Windows: connections, listeners and the transport object. See README.md.
#include "tcp_windows.hpp"

#include <mutex>
#include <optional>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/socket_acceptor.hpp"
#include "ferry/sdk/socket_stream.hpp"
#include "tcp_description.hpp"
#include "tcp_interleave.hpp"

namespace ferry::tcp {
namespace {

class TcpConnection : public plugin::Connection<TcpConnection> {
 public:
  explicit TcpConnection(plugin::UniqueSocket socket)
      : peer_(SocketAddress::peer_of(socket.get())), stream_(std::move(socket)) {}

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept {
    return stream_.read(data, size, deadline_ns);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                     std::int64_t deadline_ns) noexcept {
    return stream_.write(pieces, count, flags, deadline_ns);
  }
  std::int32_t arm(ferry_interest interest) noexcept { return stream_.arm(interest); }
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) noexcept {
    return stream_.pollable(interest, out);
  }
  ferry_status shutdown_write() noexcept { return stream_.shutdown_write(); }
  void interrupt() noexcept { stream_.interrupt(); }
  ferry_status finish(std::int64_t deadline_ns) noexcept { return stream_.finish(deadline_ns); }
  void abort_now() noexcept { stream_.reset_on_close(); }
  void describe(ferry_connection_info& info) const {
    plugin::copy_address(info.local_address, SocketAddress::local_of(stream_.socket()).text());
    plugin::copy_address(info.peer_address, peer_.text());
  }
  void effective(ferry_value* values, std::uint32_t count) const { read_back(stream_.socket(), values, count); }

 private:
  const SocketAddress peer_;  // Windows forgets it once the connection is reset
  plugin::SocketStream stream_;
};

class TcpListener : public plugin::Listener<TcpListener> {
 public:
  explicit TcpListener(plugin::UniqueSocket socket) : acceptor_(std::move(socket)) {}

  std::unique_ptr<TcpConnection> accept(std::int64_t deadline_ns, ferry_status& why_not) {
    plugin::UniqueSocket client = acceptor_.accept(deadline_ns, why_not);
    if (!client) return nullptr;
    {
      const std::scoped_lock lock(mutex_);
      if (reconfigured_) apply_options(client.get(), *reconfigured_);
    }
    return std::make_unique<TcpConnection>(std::move(client));
  }
  std::int32_t arm() noexcept { return acceptor_.arm(); }
  ferry_status pollable(ferry_pollable& out) const noexcept { return acceptor_.pollable(out); }
  void interrupt() noexcept { acceptor_.interrupt(); }
  std::string local_address() const { return SocketAddress::local_of(acceptor_.socket()).text(); }
  void effective(ferry_value* values, std::uint32_t count) const { read_back(acceptor_.socket(), values, count); }
  void reconfigure(plugin::Options options) {
    const Settings settings(options);
    const std::scoped_lock lock(mutex_);
    apply_options(acceptor_.socket(), settings);  // also says at once what the system refuses
    reconfigured_ = settings;
  }

 private:
  plugin::SocketAcceptor acceptor_;
  std::mutex mutex_;
  std::optional<Settings> reconfigured_;  // guarded by mutex_
};

class TcpTransport : public plugin::Transport<TcpTransport> {
 public:
  TcpTransport(const ferry_host&, plugin::Options) {
    WSADATA data;
    if (const int error = ::WSAStartup(MAKEWORD(2, 2), &data); error != 0) {
      throw plugin::os_failure(error, "cannot start Winsock");
    }
  }
  ~TcpTransport() { ::WSACleanup(); }

  std::unique_ptr<TcpConnection> connect(const char* address, plugin::Options options, std::int64_t deadline_ns,
                                         const ferry_cancel* cancel, ferry_status&) {
    const plugin::HostAddress target = plugin::parse_host_address(address);
    plugin::require_dialable(target);
    const Settings settings(options);
    const auto candidates = interleave(resolve(target, settings.family, deadline_ns, cancel));
    return std::make_unique<TcpConnection>(connect_first(candidates, settings, deadline_ns, cancel));
  }

  std::unique_ptr<TcpListener> listen(const char* address, plugin::Options options) {
    return std::make_unique<TcpListener>(open_listening_socket(plugin::parse_host_address(address), Settings(options)));
  }

  static void check_address(std::string_view address) { plugin::parse_host_address(address); }

  void effective(plugin::Options options, ferry_value* values, std::uint32_t count) {
    const Settings settings(options);
    const plugin::UniqueSocket socket =
        plugin::open_stream_socket(settings.family == Family::ipv6 ? AF_INET6 : AF_INET, IPPROTO_TCP);
    apply_options(socket.get(), settings);
    read_back(socket.get(), values, count);
    if (option_family < count) values[option_family] = {0, family_choices[static_cast<int>(settings.family)], 1, 0};
    if (option_backlog < count) values[option_backlog] = {settings.backlog, nullptr, 1, 0};
  }
};

}  // namespace
}  // namespace ferry::tcp

FERRY_PLUGIN(ferry::tcp::TcpTransport, (ferry::tcp::description));

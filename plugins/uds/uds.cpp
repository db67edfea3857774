// The uds transport: Unix stream sockets, on a path or an abstract name.
//
// Permissions of a path are the file system's (mode, owner, group), in force before the first client can connect;
// allow-lists of users and groups come on top. An abstract name has no permissions at all: anybody may connect to it,
// and anybody may have taken it before the real server. There both ends always check the other's credentials, and with
// no list given accept ourselves and root only.

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <mutex>

#include "ferry/plugin.hpp"
#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/unix_listener.hpp"
#include "ferry/sdk/unix_socket.hpp"
#include "uds_address.hpp"
#include "uds_connection.hpp"
#include "uds_options.hpp"

namespace ferry::uds {
namespace {

using plugin::SocketBuffers;
using plugin::UniqueFd;

constexpr std::int64_t max_buffer_bytes = std::int64_t{1} << 30;

namespace row = plugin::option;
constexpr std::uint32_t reloadable = row::both | FERRY_OPTION_RELOADABLE;

// Ordered as enum Option.
constexpr auto options = plugin::with_unix_listen_rows({
    row::size(
        "sndbuf", "256KiB", 0, max_buffer_bytes,
        "send buffer; it alone bounds what is under way, as Unix streams use no receive buffer; 0 leaves the system's",
        reloadable),
    row::size("rcvbuf", "256KiB", 0, max_buffer_bytes, "receive buffer; 0 leaves the system's", reloadable),
});
static_assert(options.size() == option_count);

constexpr const char* schemes[] = {"uds", "unix", nullptr};

SocketBuffers wanted_buffers(plugin::Options values) noexcept {
  return {values.integer(option_sndbuf), values.integer(option_rcvbuf)};
}

Address resolve(const char* text) {
  Address address = parse_address(text);
  if (!is_relative(address)) return address;
  return absolute(std::move(address), std::filesystem::current_path().native());
}

class UdsListener : public plugin::Listener<UdsListener> {
 public:
  UdsListener(const ferry_host& host, Address address, plugin::Options values)
      : address_(std::move(address)), listener_(host, address_, values, option_first_listen) {
    set_buffers(values);
  }

  std::unique_ptr<UdsConnection> accept(std::int64_t deadline_ns, ferry_status& why_not) {
    UniqueFd socket;
    why_not = listener_.accept(deadline_ns, socket);
    if (why_not != FERRY_OK) return nullptr;
    listener_.require_admitted_client(socket.get());
    {
      const std::lock_guard lock(mutex_);
      plugin::set_socket_buffers(socket.get(), buffers_);
    }
    return std::make_unique<UdsConnection>(std::move(socket), to_text(address_), std::string());
  }

  ferry_status pollable(ferry_pollable& out) const noexcept { return listener_.pollable(out); }
  void interrupt() noexcept { listener_.interrupt(); }
  std::string local_address() const { return to_text(address_); }

  void reconfigure(plugin::Options values) {
    listener_.reconfigure(values);
    set_buffers(values);
  }

  void effective(ferry_value* values, std::uint32_t count) const {
    std::fill_n(values, count, ferry_value{});
    fill_buffers(plugin::granted_socket_buffers(listener_.fd()), values, count);
    listener_.effective(values, count);
  }

 private:
  void set_buffers(plugin::Options values) {
    const SocketBuffers buffers = wanted_buffers(values);
    // A listening socket has no use for buffers; they are set on it to learn what accepted ones will be granted.
    plugin::set_socket_buffers(listener_.fd(), buffers);
    const std::lock_guard lock(mutex_);
    buffers_ = buffers;
  }

  const Address address_;
  plugin::UnixListener listener_;
  std::mutex mutex_;  // guards buffers_, for reconfigure against accept
  SocketBuffers buffers_;
};

class UdsTransport : public plugin::Transport<UdsTransport> {
 public:
  UdsTransport(const ferry_host& host, plugin::Options) noexcept : host_(host) {}

  std::unique_ptr<UdsConnection> connect(const char* text, plugin::Options values, std::int64_t deadline_ns,
                                         const ferry_cancel* cancel, ferry_status& why_not) {
    const Address address = resolve(text);
    const plugin::AllowList allowed = plugin::allowed_peers(values, option_first_listen, address.abstract);
    const std::string path = address.abstract ? std::string() : address.text;
    UniqueFd socket;
    why_not = plugin::connect_unix(
        address.abstract ? plugin::abstract_socket_address(address.text) : plugin::path_socket_address(path), path,
        deadline_ns, cancel, socket);
    if (why_not != FERRY_OK) return nullptr;
    plugin::require_admitted_server(socket.get(), allowed);
    plugin::set_socket_buffers(socket.get(), wanted_buffers(values));
    return std::make_unique<UdsConnection>(std::move(socket), std::string(), to_text(address));
  }

  std::unique_ptr<UdsListener> listen(const char* address, plugin::Options values) {
    return std::make_unique<UdsListener>(host_, resolve(address), values);
  }

  void effective(plugin::Options values, ferry_value* out, std::uint32_t count) const {
    std::fill_n(out, count, ferry_value{});
    (void)plugin::allowed_peers(values, option_first_listen, false);  // says which name nobody has
    const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!socket) throw plugin::os_failure(errno);
    plugin::set_socket_buffers(socket.get(), wanted_buffers(values));
    fill_buffers(plugin::granted_socket_buffers(socket.get()), out, count);
    plugin::fill_granted_backlog(values, option_first_listen, out, count);
  }

  static void check_address(std::string_view text) { (void)parse_address(text); }

 private:
  const ferry_host& host_;
};

}  // namespace
}  // namespace ferry::uds

FERRY_PLUGIN(ferry::uds::UdsTransport,
             {
                 .name = "uds",
                 .version = "0.1.0",
                 .description = "Unix sockets, on a path or an abstract name",
                 .licence = "Apache-2.0",
                 .schemes = ferry::uds::schemes,
                 .capabilities = FERRY_CAP_STREAM | FERRY_CAP_HALF_CLOSE | FERRY_CAP_LOCAL | FERRY_CAP_CREDENTIALS |
                                 FERRY_CAP_FD_PASSING | FERRY_CAP_EPHEMERAL,
                 .options = ferry::uds::options.data(),
                 .option_count = ferry::uds::option_count,
                 .ephemeral_address = "{dir}/{name}.sock",
             });

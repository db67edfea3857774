// The uds transport: Unix stream sockets, on a path or an abstract name.
//
// Permissions of a path are the file system's (mode, owner, group), in force before the first client can connect;
// allow-lists of users and groups come on top. An abstract name has no permissions at all: anybody may connect to it,
// and anybody may have taken it before the real server. There both ends always check the other's credentials, and with
// no list given accept ourselves and root only.

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>

#include "ferry/plugin.hpp"
#include "ferry/sdk/accept_socket.hpp"
#include "ferry/sdk/credentials.hpp"
#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/socket_file.hpp"
#include "ferry/sdk/unix_socket.hpp"
#include "uds_address.hpp"
#include "uds_connection.hpp"
#include "uds_options.hpp"

namespace ferry::uds {
namespace {

using plugin::AllowList;
using plugin::Failure;
using plugin::SocketBuffers;
using plugin::UniqueFd;

constexpr std::int64_t max_buffer_bytes = std::int64_t{1} << 30;

namespace row = plugin::option;
constexpr std::uint32_t listening = FERRY_OPTION_LISTEN;
constexpr std::uint32_t reloadable = row::both | FERRY_OPTION_RELOADABLE;

// Ordered as enum Option.
constexpr ferry_option options[] = {
    row::size(
        "sndbuf", "256KiB", 0, max_buffer_bytes,
        "send buffer; it alone bounds what is under way, as Unix streams use no receive buffer; 0 leaves the system's",
        reloadable),
    row::size("rcvbuf", "256KiB", 0, max_buffer_bytes, "receive buffer; 0 leaves the system's", reloadable),
    row::mode("mode", "0600", "permissions of the socket file, in force before clients can connect", listening),
    row::text("owner", nullptr, "owner of the socket file, a name or number", listening),
    row::text("group", nullptr, "group of the socket file, a name or number", listening),
    row::boolean("make_dir", "false", "make the directory of the socket file, with mode 0700, when it is absent",
                 listening),
    row::boolean("takeover", "true", "replace a socket file that no process serves any more", listening),
    row::integer("backlog", "4096", 1, INT_MAX,
                 "connections that may wait for accept; the system has its own limit too", listening),
    row::text("allow_uid", nullptr, "users that may be at the other end: names or numbers, with commas between, or any",
              reloadable),
    row::text("allow_gid", nullptr,
              "groups that may be at the other end, supplementary ones included: names or numbers, with commas "
              "between, or any",
              reloadable),
};
static_assert(std::size(options) == option_count);

constexpr const char* schemes[] = {"uds", "unix", nullptr};

SocketBuffers wanted_buffers(plugin::Options values) noexcept {
  return {values.integer(option_sndbuf), values.integer(option_rcvbuf)};
}

AllowList wanted_peers(plugin::Options values, bool abstract) {
  AllowList list(values.text(option_allow_uid), values.text(option_allow_gid));
  return list.empty() && abstract ? AllowList::own() : list;
}

/// Empty when the peer of `socket` may be there, else who it is.
std::optional<std::string> unwelcome(int socket, const AllowList& allowed) {
  if (allowed.empty()) return std::nullopt;
  const auto who = plugin::peer_credentials(socket);
  if (!who) return "unknown";
  if (allowed.admits(socket, *who)) return std::nullopt;
  return "uid " + std::to_string(who->uid) + ", gid " + std::to_string(who->gid) + ", pid " + std::to_string(who->pid);
}

Address resolve(const char* text) {
  Address address = parse_address(text);
  if (!is_relative(address)) return address;
  return absolute(std::move(address), std::filesystem::current_path().native());
}

UniqueFd make_socket() {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) throw plugin::os_failure(errno);
  return socket;
}

/// The kernel's silent limit on backlogs.
std::int64_t largest_backlog() {
  std::int64_t limit = INT_MAX;
  std::ifstream("/proc/sys/net/core/somaxconn") >> limit;
  return limit;
}

void fill_backlog(std::int64_t wanted, ferry_value* values, std::uint32_t count) {
  if (count > option_backlog) values[option_backlog] = {std::min(wanted, largest_backlog()), nullptr, 1, 0};
}

class UdsListener : public plugin::Listener<UdsListener> {
 public:
  UdsListener(const ferry_host& host, Address address, plugin::Options values)
      : host_(host), address_(std::move(address)), socket_(make_socket()), backlog_(values.integer(option_backlog)) {
    reconfigure(values);
    if (address_.abstract) {
      const auto bound = plugin::abstract_socket_address(address_.text);
      if (::bind(socket_.get(), bound.get(), bound.size) != 0) {
        throw plugin::os_failure(errno, errno == EADDRINUSE ? "another process has this abstract name" : "");
      }
    } else {
      file_.emplace(plugin::SocketFile::bind(socket_.get(), address_.text, file_options(values)));
    }
    if (::listen(socket_.get(), static_cast<int>(backlog_)) != 0) throw plugin::os_failure(errno);
  }

  std::unique_ptr<UdsConnection> accept(std::int64_t deadline_ns, ferry_status& why_not) {
    UniqueFd socket;
    why_not = plugin::accept_socket(socket_.get(), interrupt_, deadline_ns, socket);
    if (why_not == FERRY_NO_RESOURCES) {
      throw Failure(why_not, "out of file descriptors or memory; the client stays in the queue");
    }
    if (why_not != FERRY_OK) return nullptr;
    const std::lock_guard lock(settings_mutex_);
    if (const auto who = unwelcome(socket.get(), allowed_)) {
      const std::string text = "refused a client of " + to_text(address_) + " that no allow-list admits (" + *who + ")";
      host_.log(&host_, FERRY_LOG_PEER_MISBEHAVING, text.c_str());
      throw Failure(FERRY_PERMISSION, "no allow-list admits the client (" + *who + ")");
    }
    plugin::set_socket_buffers(socket.get(), buffers_);
    return std::make_unique<UdsConnection>(std::move(socket), to_text(address_), std::string());
  }

  ferry_status pollable(ferry_pollable& out) const noexcept {
    out.handle = socket_.get();
    out.events = FERRY_POLL_IN;
    return FERRY_OK;
  }
  void interrupt() noexcept { interrupt_.raise(); }
  std::string local_address() const { return to_text(address_); }

  void reconfigure(plugin::Options values) {
    AllowList allowed = wanted_peers(values, address_.abstract);
    const SocketBuffers buffers = wanted_buffers(values);
    // A listening socket has no use for buffers; they are set on it to learn what accepted ones will be granted.
    plugin::set_socket_buffers(socket_.get(), buffers);
    const std::lock_guard lock(settings_mutex_);
    allowed_ = std::move(allowed);
    buffers_ = buffers;
  }

  void effective(ferry_value* values, std::uint32_t count) const {
    std::fill_n(values, count, ferry_value{});
    fill_buffers(plugin::granted_socket_buffers(socket_.get()), values, count);
    fill_backlog(backlog_, values, count);
    const int mode = file_ ? file_->mode() : -1;
    if (count > option_mode && mode >= 0) values[option_mode] = {mode, nullptr, 1, 0};
  }

 private:
  static plugin::SocketFileOptions file_options(plugin::Options values) {
    plugin::SocketFileOptions wanted;
    wanted.mode = static_cast<mode_t>(values.integer(option_mode, 0600));
    if (values.is_set(option_owner)) wanted.owner = plugin::parse_user(values.text(option_owner));
    if (values.is_set(option_group)) wanted.group = plugin::parse_group(values.text(option_group));
    wanted.make_directory = values.flag(option_make_dir);
    wanted.take_over = values.flag(option_takeover);
    return wanted;
  }

  const ferry_host& host_;
  const Address address_;
  UniqueFd socket_;
  std::optional<plugin::SocketFile> file_;  // after socket_: the file goes while the socket is still bound
  const std::int64_t backlog_;
  plugin::Interrupt interrupt_;
  std::mutex settings_mutex_;  // guards the two below, for reconfigure against accept
  AllowList allowed_;
  SocketBuffers buffers_;
};

class UdsTransport : public plugin::Transport<UdsTransport> {
 public:
  UdsTransport(const ferry_host& host, plugin::Options) noexcept : host_(host) {}

  std::unique_ptr<UdsConnection> connect(const char* text, plugin::Options values, std::int64_t deadline_ns,
                                         const ferry_cancel* cancel, ferry_status& why_not) {
    const Address address = resolve(text);
    const AllowList allowed = wanted_peers(values, address.abstract);
    const std::string path = address.abstract ? std::string() : address.text;
    UniqueFd socket;
    why_not = plugin::connect_unix(
        address.abstract ? plugin::abstract_socket_address(address.text) : plugin::path_socket_address(path), path,
        deadline_ns, cancel, socket);
    if (why_not != FERRY_OK) return nullptr;
    if (const auto who = unwelcome(socket.get(), allowed)) {
      throw Failure(FERRY_PERMISSION, "the server is not one that the allow-list admits (" + *who +
                                          "); if it is right, name it in allow_uid");
    }
    plugin::set_socket_buffers(socket.get(), wanted_buffers(values));
    return std::make_unique<UdsConnection>(std::move(socket), std::string(), to_text(address));
  }

  std::unique_ptr<UdsListener> listen(const char* address, plugin::Options values) {
    return std::make_unique<UdsListener>(host_, resolve(address), values);
  }

  void effective(plugin::Options values, ferry_value* out, std::uint32_t count) const {
    std::fill_n(out, count, ferry_value{});
    const UniqueFd socket = make_socket();
    plugin::set_socket_buffers(socket.get(), wanted_buffers(values));
    fill_buffers(plugin::granted_socket_buffers(socket.get()), out, count);
    fill_backlog(values.integer(option_backlog), out, count);
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
                 .options = ferry::uds::options,
                 .option_count = ferry::uds::option_count,
                 .ephemeral_address = "{dir}/{name}.sock",
             });

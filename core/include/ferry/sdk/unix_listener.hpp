// What every transport that is met on a Unix socket does alike when it listens: the option rows, the socket file with
// its permissions, the backlog, and who may come in.
#pragma once

#include <array>
#include <climits>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "ferry/plugin.hpp"
#include "ferry/sdk/credentials.hpp"
#include "ferry/sdk/interrupt.hpp"
#include "ferry/sdk/socket_file.hpp"
#include "ferry/sdk/unique_fd.hpp"

namespace ferry::plugin {

/// The rows below, counted from the first of them in a plugin's table.
enum UnixListenOption : std::uint32_t {
  unix_listen_mode,
  unix_listen_owner,
  unix_listen_group,
  unix_listen_make_dir,
  unix_listen_takeover,
  unix_listen_backlog,
  unix_listen_allow_uid,
  unix_listen_allow_gid,
  unix_listen_option_count
};

inline constexpr ferry_option unix_listen_rows[] = {
    option::mode("mode", "0600", "permissions of the socket file, in force before clients can connect",
                 FERRY_OPTION_LISTEN),
    option::text("owner", nullptr, "owner of the socket file, a name or number", FERRY_OPTION_LISTEN),
    option::text("group", nullptr, "group of the socket file, a name or number", FERRY_OPTION_LISTEN),
    option::boolean("make_dir", "false", "make the directory of the socket file, with mode 0700, when it is absent",
                    FERRY_OPTION_LISTEN),
    option::boolean("takeover", "true", "replace a socket file that no process serves any more", FERRY_OPTION_LISTEN),
    option::integer("backlog", "4096", 1, INT_MAX,
                    "connections that may wait for accept; the system has its own limit too", FERRY_OPTION_LISTEN),
    option::text("allow_uid", nullptr,
                 "users that may be at the other end: names or numbers, with commas between, or any",
                 option::both | FERRY_OPTION_RELOADABLE),
    option::text("allow_gid", nullptr,
                 "groups that may be at the other end, supplementary ones included: names or numbers, with commas "
                 "between, or any",
                 option::both | FERRY_OPTION_RELOADABLE),
};
static_assert(std::size(unix_listen_rows) == unix_listen_option_count);

/// A plugin's table: its `own` rows, then unix_listen_rows.
template <std::size_t N>
constexpr std::array<ferry_option, N + unix_listen_option_count> with_unix_listen_rows(const ferry_option (&own)[N]) {
  std::array<ferry_option, N + unix_listen_option_count> all{};
  for (std::size_t i = 0; i < N; ++i) all[i] = own[i];
  for (std::size_t i = 0; i < unix_listen_option_count; ++i) all[N + i] = unix_listen_rows[i];
  return all;
}

/// Where a Unix socket is: a path of the file system, or an abstract name without its '@'.
struct UnixSocketName {
  std::string text;
  bool abstract = false;
};

/// Who may be at the other end, by allow_uid and allow_gid; for an abstract name, which has no permissions, ourselves
/// and root when neither is given. `first_row` is where unix_listen_rows start. Throws Failure(INVALID).
AllowList allowed_peers(Options values, std::uint32_t first_row, bool abstract);

/// Throws Failure(PERMISSION) when `allowed` does not admit the server that `socket` is connected to.
void require_admitted_server(int socket, const AllowList& allowed);

/// Fills the backlog with what listen(2) grants of the wanted one: the kernel cuts it to net.core.somaxconn silently.
void fill_granted_backlog(Options values, std::uint32_t first_row, ferry_value* out, std::uint32_t count);

/// A listening Unix stream socket, non-blocking and close-on-exec. Its file goes when it is destroyed.
class UnixListener {
 public:
  /// Binds and listens as the options say. `host` outlives it. Throws Failure: ADDRESS_IN_USE, NOT_FOUND, PERMISSION,
  /// INVALID, NO_RESOURCES, IO.
  UnixListener(const ferry_host& host, const UnixSocketName& name, Options values, std::uint32_t first_row);

  int fd() const noexcept { return socket_.get(); }

  /// As accept_socket, throwing Failure(NO_RESOURCES) when the process is out of descriptors. [acceptor]
  ferry_status accept(std::int64_t deadline_ns, UniqueFd& out);
  /// Throws Failure(PERMISSION), and logs it, when no allow-list admits the client of `socket`. [acceptor]
  void require_admitted_client(int socket);

  ferry_status pollable(ferry_pollable& out) const noexcept;  // [any-thread]
  void interrupt() noexcept { interrupt_.raise(); }           // [any-thread]
  /// Takes allow_uid and allow_gid anew; throws Failure(INVALID) and keeps the old ones. [any-thread]
  void reconfigure(Options values);
  /// Fills backlog and mode with what is in force. [any-thread]
  void effective(ferry_value* values, std::uint32_t count) const;

 private:
  const ferry_host& host_;
  const std::string text_;  // for the log
  const bool abstract_;
  const std::uint32_t first_row_;
  UniqueFd socket_;
  std::optional<SocketFile> file_;  // after socket_: the file goes while the socket is still bound
  const std::int64_t backlog_;
  Interrupt interrupt_;
  std::mutex mutex_;  // guards allowed_, for reconfigure against accept
  AllowList allowed_;
};

}  // namespace ferry::plugin

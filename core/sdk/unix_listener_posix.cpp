#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <utility>

#include "ferry/sdk/accept_socket.hpp"
#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/unix_listener.hpp"
#include "ferry/sdk/unix_socket.hpp"

namespace ferry::plugin {
namespace {

/// Empty when the peer of `socket` may be there, else who it is.
std::optional<std::string> unwelcome(int socket, const AllowList& allowed) {
  if (allowed.empty()) return std::nullopt;
  const auto who = peer_credentials(socket);
  if (!who) return "unknown";
  if (allowed.admits(socket, *who)) return std::nullopt;
  return "uid " + std::to_string(who->uid) + ", gid " + std::to_string(who->gid) + ", pid " + std::to_string(who->pid);
}

UniqueFd make_socket() {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) throw os_failure(errno);
  return socket;
}

std::int64_t granted_backlog(std::int64_t wanted) {
  std::int64_t limit = INT_MAX;
  std::ifstream("/proc/sys/net/core/somaxconn") >> limit;
  return std::min(wanted, limit);
}

SocketFileOptions file_options(Options values, std::uint32_t first_row) {
  SocketFileOptions wanted;
  wanted.mode = static_cast<mode_t>(values.integer(first_row + unix_listen_mode, 0600));
  const auto owner = first_row + unix_listen_owner;
  if (values.is_set(owner)) wanted.owner = parse_user(values.text(owner));
  const auto group = first_row + unix_listen_group;
  if (values.is_set(group)) wanted.group = parse_group(values.text(group));
  wanted.make_directory = values.flag(first_row + unix_listen_make_dir);
  wanted.take_over = values.flag(first_row + unix_listen_takeover);
  return wanted;
}

}  // namespace

AllowList allowed_peers(Options values, std::uint32_t first_row, bool abstract) {
  AllowList list(values.text(first_row + unix_listen_allow_uid), values.text(first_row + unix_listen_allow_gid));
  return list.empty() && abstract ? AllowList::own() : list;
}

void require_admitted_server(int socket, const AllowList& allowed) {
  if (const auto who = unwelcome(socket, allowed)) {
    throw Failure(FERRY_PERMISSION, "the server is not one that the allow-list admits (" + *who +
                                        "); if it is right, name it in allow_uid");
  }
}

void fill_granted_backlog(Options values, std::uint32_t first_row, ferry_value* out, std::uint32_t count) {
  const std::uint32_t row = first_row + unix_listen_backlog;
  if (count > row) out[row] = {granted_backlog(values.integer(row)), nullptr, 1, 0};
}

UnixListener::UnixListener(const ferry_host& host, const UnixSocketName& name, Options values, std::uint32_t first_row)
    : host_(host),
      text_((name.abstract ? "@" : "") + name.text),
      abstract_(name.abstract),
      first_row_(first_row),
      socket_(make_socket()),
      backlog_(values.integer(first_row + unix_listen_backlog)) {
  reconfigure(values);
  if (abstract_) {
    const auto bound = abstract_socket_address(name.text);
    if (::bind(socket_.get(), bound.get(), bound.size) != 0) {
      throw os_failure(errno, errno == EADDRINUSE ? "another process has this abstract name" : "");
    }
  } else {
    file_.emplace(SocketFile::bind(socket_.get(), name.text, file_options(values, first_row)));
  }
  if (::listen(socket_.get(), static_cast<int>(backlog_)) != 0) throw os_failure(errno);
}

ferry_status UnixListener::accept(std::int64_t deadline_ns, UniqueFd& out) {
  const ferry_status status = accept_socket(socket_.get(), interrupt_, deadline_ns, out);
  if (status == FERRY_NO_RESOURCES) {
    throw Failure(status, "out of file descriptors or memory; the client stays in the queue");
  }
  return status;
}

void UnixListener::require_admitted_client(int socket) {
  const std::lock_guard lock(mutex_);
  const auto who = unwelcome(socket, allowed_);
  if (!who) return;
  const std::string text = "refused a client of " + text_ + " that no allow-list admits (" + *who + ")";
  host_.log(&host_, FERRY_LOG_PEER_MISBEHAVING, text.c_str());
  throw Failure(FERRY_PERMISSION, "no allow-list admits the client (" + *who + ")");
}

ferry_status UnixListener::pollable(ferry_pollable& out) const noexcept {
  out.handle = socket_.get();
  out.events = FERRY_POLL_IN;
  return FERRY_OK;
}

void UnixListener::reconfigure(Options values) {
  AllowList allowed = allowed_peers(values, first_row_, abstract_);
  const std::lock_guard lock(mutex_);
  allowed_ = std::move(allowed);
}

void UnixListener::effective(ferry_value* values, std::uint32_t count) const {
  const std::uint32_t backlog = first_row_ + unix_listen_backlog;
  if (count > backlog) values[backlog] = {granted_backlog(backlog_), nullptr, 1, 0};
  const std::uint32_t mode = first_row_ + unix_listen_mode;
  const int bits = file_ ? file_->mode() : -1;
  if (count > mode && bits >= 0) values[mode] = {bits, nullptr, 1, 0};
}

}  // namespace ferry::plugin

// Who is at the other end of a Unix socket, and whom to let in.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ferry/abi.h"

namespace ferry::plugin {

/// SO_PEERCRED: who connected, or who called listen, at that time. Empty when `socket` has no peer.
std::optional<ucred> peer_credentials(int socket) noexcept;

/// ferry.peer/1 over a Unix socket: UNSUPPORTED when the kernel does not tell.
ferry_status fill_credentials(int socket, ferry_credentials& out) noexcept;

/// A user or group by number or name. Throws Failure(FERRY_INVALID) when there is none. May ask the name service.
uid_t parse_user(std::string_view text);
gid_t parse_group(std::string_view text);

/// Users and groups that may be at the other end. A value type.
class AllowList {
 public:
  AllowList() = default;
  /// Parses comma-separated names and numbers; "any" admits everybody. Throws Failure naming the item at fault.
  AllowList(std::string_view users, std::string_view groups);
  /// Ourselves and root.
  static AllowList own();

  /// True when nothing was listed.
  bool empty() const noexcept { return !anybody_ && users_.empty() && groups_.empty(); }
  /// True when the peer of `socket`, who is `who`, is one of the users or has one of the groups, be it supplementary.
  bool admits(int socket, const ucred& who) const;

 private:
  bool anybody_ = false;
  std::vector<uid_t> users_;
  std::vector<gid_t> groups_;
};

}  // namespace ferry::plugin

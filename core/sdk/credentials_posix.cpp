#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "ferry/plugin.hpp"
#include "ferry/sdk/credentials.hpp"

namespace ferry::plugin {
namespace {

std::optional<std::uint32_t> parse_number(std::string_view text) noexcept {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  // The last number means "unchanged" to chown(2) and is no user or group.
  if (error != std::errc() || end != text.data() + text.size() || number == UINT32_MAX) return std::nullopt;
  return number;
}

/// getpwnam_r and getgrnam_r alike: grows the buffer while the entry does not fit (a group may have many members).
template <class Entry, class Lookup>
bool look_up(std::string_view name, Entry& entry, std::vector<char>& buffer, Lookup lookup) {
  const std::string text(name);
  for (buffer.resize(4096);; buffer.resize(2 * buffer.size())) {
    Entry* found = nullptr;
    const int error = lookup(text.c_str(), &entry, buffer.data(), buffer.size(), &found);
    if (error != ERANGE || buffer.size() > 1u << 20) return found != nullptr;
  }
}

template <class Id>
std::vector<Id> parse_list(std::string_view text, bool& anybody, Id (*parse)(std::string_view)) {
  std::vector<Id> ids;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view item = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (item == "any") {
      anybody = true;
    } else {
      ids.push_back(parse(item));
    }
  }
  return ids;
}

/// The supplementary groups that the peer had, as SO_PEERGROUPS (Linux 4.13) tells; empty where it does not.
std::vector<gid_t> peer_groups(int socket) {
  std::vector<gid_t> groups(64);
  auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  int result = ::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
  if (result != 0 && errno == ERANGE) {
    groups.resize(size / sizeof(gid_t));
    result = ::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size);
  }
  groups.resize(result == 0 ? size / sizeof(gid_t) : 0);
  return groups;
}

template <class T>
bool contains(const std::vector<T>& all, T one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

std::optional<ucred> peer_credentials(int socket) noexcept {
  ucred who{};
  socklen_t size = sizeof(who);
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return std::nullopt;
  // Without a peer the kernel answers uid -1. The pid tells nothing: it is 0 for a peer outside our pid namespace.
  if (who.uid == static_cast<uid_t>(-1)) return std::nullopt;
  return who;
}

ferry_status fill_credentials(int socket, ferry_credentials& out) noexcept {
  const auto who = peer_credentials(socket);
  if (!who) return FERRY_UNSUPPORTED;
  out.uid = who->uid;
  out.gid = who->gid;
  out.pid = who->pid == 0 ? -1 : who->pid;
  return FERRY_OK;
}

uid_t parse_user(std::string_view text) {
  if (const auto number = parse_number(text)) return *number;
  passwd entry{};
  std::vector<char> buffer;
  if (!look_up(text, entry, buffer, ::getpwnam_r)) {
    throw Failure(FERRY_INVALID, "there is no user '" + std::string(text) + "'");
  }
  return entry.pw_uid;
}

gid_t parse_group(std::string_view text) {
  if (const auto number = parse_number(text)) return *number;
  group entry{};
  std::vector<char> buffer;
  if (!look_up(text, entry, buffer, ::getgrnam_r)) {
    throw Failure(FERRY_INVALID, "there is no group '" + std::string(text) + "'");
  }
  return entry.gr_gid;
}

AllowList::AllowList(std::string_view users, std::string_view groups)
    : users_(parse_list(users, anybody_, parse_user)), groups_(parse_list(groups, anybody_, parse_group)) {}

AllowList AllowList::own() {
  AllowList list;
  list.users_ = {::geteuid(), 0};
  return list;
}

bool AllowList::admits(int socket, const ucred& who) const {
  if (anybody_ || contains(users_, who.uid) || contains(groups_, who.gid)) return true;
  if (groups_.empty()) return false;
  const std::vector<gid_t> more = peer_groups(socket);
  return std::any_of(more.begin(), more.end(), [&](gid_t gid) { return contains(groups_, gid); });
}

}  // namespace ferry::plugin

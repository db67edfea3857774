#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/poll_wait.hpp"
#include "ferry/sdk/unix_socket.hpp"
#include "file_permissions.hpp"

namespace ferry::plugin {
namespace {

constexpr std::int64_t cancel_look_ns = 10'000'000;

[[noreturn]] void reject(const std::string& why) { throw Failure(FERRY_INVALID, why); }

UnixSocketAddress make_address(std::string_view text, bool abstract) noexcept {
  UnixSocketAddress made;
  made.address.sun_family = AF_UNIX;
  std::memcpy(made.address.sun_path + (abstract ? 1 : 0), text.data(), text.size());
  // An abstract name is exactly as long as `size` says; a path ends with its NUL. Either way one byte is added.
  made.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size() + 1);
  return made;
}

/// The first directory on the way to `path` that is missing or that we may not search, as a hint; empty if none is.
std::string obstacle(const std::string& path) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string directory = path.substr(0, slash);
    struct stat file {};
    if (::stat(directory.c_str(), &file) != 0) {
      return errno == ENOENT ? "there is no directory " + directory : std::string();
    }
    if (::faccessat(AT_FDCWD, directory.c_str(), X_OK, AT_EACCESS) != 0) {
      return "directory " + directory + " is " + permissions(file);
    }
  }
  return {};
}

std::string hint_for(int error, const std::string& path) {
  struct stat file {};
  const bool there = !path.empty() && ::stat(path.c_str(), &file) == 0;
  switch (error) {
    case ENOENT: {
      const std::string why = obstacle(path);
      return why.empty() ? "no such socket; is the service running?" : why;
    }
    case EACCES:
      return there ? "socket is " + permissions(file) : obstacle(path);
    case ECONNREFUSED:
      if (path.empty()) return "nobody listens on this abstract name; is the service running?";
      if (there && !S_ISSOCK(file.st_mode)) return "the file is not a socket";
      return "the socket file is stale: the service that made it has ended; start it again";
    case EPROTOTYPE:
      return "the socket there is not a stream socket";
    default:
      return {};
  }
}

Failure connect_failure(int error, const std::string& path) {
  const std::string hint = hint_for(error, path);
  const ferry_status status = error == EPROTOTYPE ? FERRY_UNSUPPORTED : status_of_errno(error);
  return Failure(status, os_text(error) + (hint.empty() ? "" : " (" + hint + ")"), error);
}

/// How long the next blocking attempt may take: to the deadline, in slices when somebody may cancel. Empty for ever.
timeval attempt_timeout(std::int64_t deadline_ns, bool can_cancel) noexcept {
  std::int64_t left_ns = deadline_ns == FERRY_FOREVER ? 0 : std::max<std::int64_t>(deadline_ns - monotonic_ns(), 1000);
  if (can_cancel) left_ns = left_ns == 0 ? cancel_look_ns : std::min(left_ns, cancel_look_ns);
  return {left_ns / 1'000'000'000, left_ns % 1'000'000'000 / 1000};
}

}  // namespace

void check_socket_path(std::string_view path) {
  if (path.empty()) reject("the path is empty");
  if (const std::size_t nul = path.find('\0'); nul != std::string_view::npos) {
    reject("the address holds a NUL at byte " + std::to_string(nul));
  }
  if (path.back() == '/') reject("the path ends with '/'; the socket file needs a name");
  const std::string_view name = path.substr(path.rfind('/') + 1);
  if (name == "." || name == "..") reject("the path ends with '" + std::string(name) + "', which is a directory");
  if (path.size() > max_socket_path_bytes) {
    reject("the path has " + std::to_string(path.size()) + " bytes; at most " + std::to_string(max_socket_path_bytes) +
           " are supported");
  }
  if (path.size() > max_sun_path_bytes && name.size() > max_long_path_name_bytes) {
    reject("the file name has " + std::to_string(name.size()) + " bytes; in a path of more than " +
           std::to_string(max_sun_path_bytes) + " bytes the system can address at most " +
           std::to_string(max_long_path_name_bytes));
  }
}

std::string absolute_socket_path(std::string_view path, std::string_view directory) {
  if (path.starts_with('/')) return std::string(path);
  while (path.starts_with("./")) path.remove_prefix(2);
  std::string joined = std::string(directory) + (directory.ends_with('/') ? "" : "/") + std::string(path);
  check_socket_path(joined);
  return joined;
}

UnixSocketAddress path_socket_address(const std::string& path) {
  if (path.size() <= max_sun_path_bytes) return make_address(path, false);
  check_socket_path(path);
  const std::size_t slash = path.rfind('/');
  const std::string name = path.substr(slash + 1);
  const std::string parent = path.substr(0, std::max<std::size_t>(slash, 1));
  UniqueFd directory(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) throw os_failure(errno, "opening directory " + parent);
  const std::string through = "/proc/self/fd/" + std::to_string(directory.get());
  if (::access(through.c_str(), F_OK) != 0) {
    throw Failure(
        FERRY_UNSUPPORTED,
        "a path of more than " + std::to_string(max_sun_path_bytes) + " bytes needs /proc, which is not mounted",
        errno);
  }
  UnixSocketAddress made = make_address(through + "/" + name, false);
  made.directory = std::move(directory);
  return made;
}

UnixSocketAddress abstract_socket_address(std::string_view name) { return make_address(name, true); }

// A connect to a full backlog cannot be waited for with poll: a non-blocking one says EAGAIN and leaves nothing to poll
// on. A blocking one queues in the kernel, fair and without delay, and honours SO_SNDTIMEO (unix(7), socket(7)); so
// that is how to wait, in slices with a look at `cancel` between them where there is one.
ferry_status connect_unix(const UnixSocketAddress& address, const std::string& path, std::int64_t deadline_ns,
                          const ferry_cancel* cancel, UniqueFd& out) {
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) throw os_failure(errno);
  const bool can_cancel = cancel_descriptor(cancel) >= 0;
  for (bool blocking = false; ::connect(socket.get(), address.get(), address.size) != 0;) {
    if (errno != EAGAIN && errno != EINTR) throw connect_failure(errno, path);
    if (deadline_passed(deadline_ns)) return out_of_time(deadline_ns);
    pollfd entry{cancel_descriptor(cancel), POLLIN, 0};
    if (can_cancel && poll_until(&entry, 1, FERRY_NO_WAIT) > 0) return FERRY_INTERRUPTED;
    if (!blocking) ::fcntl(socket.get(), F_SETFL, 0);
    blocking = true;
    const timeval timeout = attempt_timeout(deadline_ns, can_cancel);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  }
  ::fcntl(socket.get(), F_SETFL, O_NONBLOCK);
  out = std::move(socket);
  return FERRY_OK;
}

}  // namespace ferry::plugin

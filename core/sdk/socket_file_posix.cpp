#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "ferry/sdk/lock_file.hpp"
#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/socket_file.hpp"
#include "ferry/sdk/unix_socket.hpp"

namespace ferry::plugin {
namespace {

constexpr std::int64_t lock_patience_ms = 1000;

std::string parent_of(const std::string& path) { return path.substr(0, std::max<std::size_t>(path.rfind('/'), 1)); }

UniqueFd open_directory(const std::string& directory) {
  UniqueFd opened(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (opened) return opened;
  const int error = errno;
  throw os_failure(error,
                   "opening directory " + directory + (error == ENOENT ? " (option make_dir=true makes it)" : ""));
}

/// True when no process has the socket at `address` bound, false when its file is gone; throws when one has it.
/// A datagram socket cannot connect to a stream socket, and the kernel says EPROTOTYPE when there is one and
/// ECONNREFUSED when there is none: the owner, listening or about to, notices nothing.
bool is_stale(const UnixSocketAddress& address) {
  UniqueFd probe(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe) throw os_failure(errno);
  const int error = ::connect(probe.get(), address.get(), address.size) == 0 ? 0 : errno;
  if (error == ECONNREFUSED) return true;
  if (error == ENOENT) return false;
  if (error == EACCES || error == EPERM) throw os_failure(error, "finding out whether the socket there is stale");
  throw Failure(FERRY_ADDRESS_IN_USE, "a running process has a socket bound there; stop it or choose another path",
                EADDRINUSE);
}

/// Removes the stale socket `name` in `directory`; throws when it is anything else.
void remove_stale(int directory, const char* name, const UnixSocketAddress& address) {
  struct stat file {};
  if (::fstatat(directory, name, &file, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return;
    throw os_failure(errno);
  }
  if (!S_ISSOCK(file.st_mode)) {
    throw Failure(FERRY_ADDRESS_IN_USE,
                  S_ISLNK(file.st_mode) ? "a symbolic link is there, which is never replaced; remove it"
                                        : "a file that is no socket is there, which is never replaced; remove it",
                  EADDRINUSE);
  }
  if (is_stale(address) && ::unlinkat(directory, name, 0) != 0 && errno != ENOENT) {
    throw os_failure(errno, "removing the stale socket");
  }
}

int try_bind(int socket, const UnixSocketAddress& address) noexcept {
  return ::bind(socket, address.get(), address.size) == 0 ? 0 : errno;
}

}  // namespace

SocketFile SocketFile::bind(int socket, const std::string& path, const SocketFileOptions& options) {
  if (options.make_directory) make_private_directory(parent_of(path));
  SocketFile file(open_directory(parent_of(path)), path);
  const UnixSocketAddress address = path_socket_address(path);
  // Linux gives the file the socket's own mode, less the umask.
  if (::fchmod(socket, options.mode) != 0) throw os_failure(errno);
  int error = try_bind(socket, address);
  if (error == EADDRINUSE && options.take_over) {
    const LockFile lock(file.directory_.get(), std::string(file.name()) + ".lock", lock_patience_ms);
    remove_stale(file.directory_.get(), file.name(), address);
    error = try_bind(socket, address);
  }
  if (error == EADDRINUSE) {
    throw Failure(FERRY_ADDRESS_IN_USE,
                  options.take_over ? "another process has just bound it"
                                    : "something is there already; remove it, or allow takeover=true if it is stale",
                  error);
  }
  if (error != 0) throw failure_to_make(file.directory_.get(), error);
  struct stat made {};
  if (::fstatat(file.directory_.get(), file.name(), &made, AT_SYMLINK_NOFOLLOW) != 0) throw os_failure(errno);
  file.device_ = made.st_dev;
  file.inode_ = made.st_ino;
  file.apply(options);
  return file;
}

SocketFile::SocketFile(UniqueFd directory, std::string path) noexcept
    : directory_(std::move(directory)), path_(std::move(path)) {}

SocketFile::SocketFile(SocketFile&& other) noexcept
    : directory_(std::move(other.directory_)),
      path_(std::move(other.path_)),
      device_(other.device_),
      inode_(std::exchange(other.inode_, 0)) {}

SocketFile::~SocketFile() {
  struct stat now {};
  if (inode_ != 0 && ::fstatat(directory_.get(), name(), &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_dev == device_ &&
      now.st_ino == inode_) {
    ::unlinkat(directory_.get(), name(), 0);
  }
}

int SocketFile::mode() const noexcept {
  struct stat now {};
  if (::fstatat(directory_.get(), name(), &now, AT_SYMLINK_NOFOLLOW) != 0) return -1;
  return static_cast<int>(now.st_mode & 0777);
}

void SocketFile::apply(const SocketFileOptions& options) const {
  constexpr auto unchanged = static_cast<uid_t>(-1);
  if (options.owner || options.group) {
    const uid_t owner = options.owner.value_or(unchanged);
    const gid_t group = options.group.value_or(static_cast<gid_t>(unchanged));
    if (::fchownat(directory_.get(), name(), owner, group, AT_SYMLINK_NOFOLLOW) != 0) {
      throw os_failure(errno,
                       "giving the socket to another owner or group (root may, others only to their own groups)");
    }
  }
  if (mode() != static_cast<int>(options.mode) &&
      ::fchmodat(directory_.get(), name(), options.mode, AT_SYMLINK_NOFOLLOW) != 0) {
    throw os_failure(errno, "setting the socket's mode");
  }
}

const char* SocketFile::name() const noexcept { return path_.c_str() + path_.rfind('/') + 1; }

void make_private_directory(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0700) == 0) return;
  const int error = errno;
  struct stat found {};
  if (error != EEXIST || ::stat(directory.c_str(), &found) != 0)
    throw os_failure(error, "making directory " + directory);
  const bool trusted_owner = found.st_uid == ::geteuid() || found.st_uid == 0;
  const bool shared = (found.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (found.st_mode & S_ISVTX) == 0;
  if (!trusted_owner || shared) {
    throw Failure(FERRY_PERMISSION, "directory " + directory +
                                        " is there already and others may write to it (owned by uid " +
                                        std::to_string(found.st_uid) + "); use one of your own");
  }
}

}  // namespace ferry::plugin

#include "npipe_place_posix.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "ferry/plugin.hpp"
#include "ferry/sdk/lock_file.hpp"
#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/private_directory.hpp"
#include "ferry/sdk/runtime_directory.hpp"

namespace ferry::npipe {
namespace {

using plugin::Absent;
using plugin::Failure;
using plugin::UniqueFd;

constexpr std::int64_t lock_patience_ms = 1000;
constexpr std::int64_t smallest_pipe_bytes = 4096;
constexpr int remove_attempts = 8;  // of a directory in which clients may be making FIFOs at this moment

UniqueFd pipes_directory(MakeDirectory make) {
  const std::string path = plugin::runtime_directory() + "/pipe";
  if (make == MakeDirectory::yes) return plugin::open_private_directory(AT_FDCWD, path, Absent::make);
  try {
    return plugin::open_private_directory(AT_FDCWD, path, Absent::fail);
  } catch (const Failure& failure) {
    if (failure.status() != FERRY_NOT_FOUND) throw;
    throw Failure(FERRY_NOT_FOUND, "there is no such pipe in " + path + "; is the service running?", ENOENT);
  }
}

int why_not_ours(const struct stat& file) noexcept {
  if (!S_ISFIFO(file.st_mode)) return ENOTSUP;
  return file.st_uid == ::geteuid() ? 0 : EPERM;
}

bool stat_at(int directory, const char* name, struct stat& out) noexcept {
  return ::fstatat(directory, name, &out, AT_SYMLINK_NOFOLLOW) == 0;
}

}  // namespace

Place find_place(const Address& address, MakeDirectory make) {
  if (!address.path.empty()) {
    const std::size_t slash = address.path.rfind('/');
    const std::string parent = address.path.substr(0, slash == 0 ? 1 : slash);
    UniqueFd directory(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory) throw plugin::os_failure(errno, "opening directory " + parent);
    return {std::move(directory), address.path.substr(slash + 1)};
  }
  if (address.host != ".") {
    throw Failure(FERRY_UNSUPPORTED, "the host is '" + address.host +
                                         "', and only Windows has named pipes between hosts; use tcp://" +
                                         address.host + ":<port>, or ./pipe/" + address.name + " on this machine");
  }
  return {pipes_directory(make), address.name};
}

// Looked at before it is opened: opening a device has effects of its own. And again after: it may have been exchanged.
UniqueFd open_fifo(int directory, const char* name, int flags) noexcept {
  struct stat file {};
  UniqueFd fifo;
  int error = stat_at(directory, name, file) ? why_not_ours(file) : errno;
  if (error == 0) {
    fifo.reset(::openat(directory, name, flags | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
    error = fifo && ::fstat(fifo.get(), &file) == 0 ? why_not_ours(file) : errno;
  }
  if (error != 0) fifo.reset();
  errno = error;
  return fifo;
}

std::string what_is_wrong_with(int directory, const char* name) {
  struct stat file {};
  if (!stat_at(directory, name, file)) return {};
  if (S_ISLNK(file.st_mode)) return "a symbolic link is there, which is never followed or replaced";
  if (!S_ISFIFO(file.st_mode)) return "a file that is no FIFO is there, which is never used or replaced";
  if (file.st_uid == ::geteuid()) return {};
  return "the FIFO there belongs to uid " + std::to_string(file.st_uid) + " and not to uid " +
         std::to_string(::geteuid());
}

void remove_fifos(int directory) noexcept {
  // A descriptor of its own: fdopendir takes it, and reading moves its position.
  UniqueFd listed(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(listed ? ::fdopendir(listed.get()) : nullptr, &::closedir);
  if (!entries) return;
  listed.release();
  while (const dirent* const entry = ::readdir(entries.get())) {
    struct stat file {};
    if (stat_at(directory, entry->d_name, file) && S_ISFIFO(file.st_mode)) ::unlinkat(directory, entry->d_name, 0);
  }
}

std::int64_t resize_fifo(int fifo, std::int64_t bytes) noexcept {
  for (; bytes >= smallest_pipe_bytes; bytes /= 2) {
    if (::fcntl(fifo, F_SETPIPE_SZ, static_cast<int>(bytes)) >= 0 || (errno != EPERM && errno != ENOMEM)) break;
  }
  return ::fcntl(fifo, F_GETPIPE_SZ);
}

Rendezvous::Rendezvous(Place place, bool take_over) : place_(std::move(place)) {
  const int directory = place_.directory.get();
  const char* const name = place_.name.c_str();
  // Between mkfifo and open no process reads the FIFO: to others it would look stale, were it not for the lock.
  const plugin::LockFile lock(directory, place_.name + ".lock", lock_patience_ms);
  make_room(take_over);
  clients_ = plugin::open_private_directory(directory, place_.clients(), Absent::make);
  remove_fifos(clients_.get());
  if (::mkfifoat(directory, name, 0600) != 0) {
    const int error = errno;
    ::unlinkat(directory, place_.clients().c_str(), AT_REMOVEDIR);
    throw plugin::os_failure(error, "making the FIFO");
  }
  // For writing as well, which keeps it from showing an end when the last client has gone. Linux allows that (fifo(7)).
  fifo_ = open_fifo(directory, name, O_RDWR);
  if (fifo_) return;
  const int error = errno;
  ::unlinkat(directory, name, 0);
  ::unlinkat(directory, place_.clients().c_str(), AT_REMOVEDIR);
  throw plugin::os_failure(error, "opening the FIFO just made");
}

void Rendezvous::make_room(bool take_over) const {
  const int directory = place_.directory.get();
  const char* const name = place_.name.c_str();
  if (open_fifo(directory, name, O_WRONLY)) {
    throw Failure(FERRY_ADDRESS_IN_USE, "a running process listens there; stop it or choose another name", EADDRINUSE);
  }
  const int error = errno;
  if (error == ENOENT) return;
  if (const std::string wrong = what_is_wrong_with(directory, name); !wrong.empty()) {
    throw Failure(error == EPERM ? FERRY_PERMISSION : FERRY_ADDRESS_IN_USE, wrong + "; remove it", error);
  }
  if (error != ENXIO) throw plugin::os_failure(error, "finding out whether a process listens there");
  if (!take_over) {
    throw Failure(FERRY_ADDRESS_IN_USE, "a FIFO that no process serves is there; remove it, or allow takeover=true",
                  EADDRINUSE);
  }
  if (::unlinkat(directory, name, 0) != 0) throw plugin::os_failure(errno, "removing the stale FIFO");
}

// A FIFO that is not ours any more was removed by hand; what stands beside it may be its next listener's.
Rendezvous::~Rendezvous() {
  const int directory = place_.directory.get();
  struct stat ours {};
  struct stat named {};
  if (::fstat(fifo_.get(), &ours) != 0 || !stat_at(directory, place_.name.c_str(), named) ||
      named.st_ino != ours.st_ino || named.st_dev != ours.st_dev) {
    return;
  }
  for (int i = 0; i < remove_attempts; ++i) {
    remove_fifos(clients_.get());
    if (::unlinkat(directory, place_.clients().c_str(), AT_REMOVEDIR) == 0 || errno != ENOTEMPTY) break;
  }
  ::unlinkat(directory, place_.name.c_str(), 0);
}

void Rendezvous::tidy() noexcept {
  // A client holds the lock for as long as its FIFOs have names.
  if (::flock(clients_.get(), LOCK_EX | LOCK_NB) != 0) return;
  remove_fifos(clients_.get());
  ::flock(clients_.get(), LOCK_UN);
}

}  // namespace ferry::npipe

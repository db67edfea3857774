#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <ctime>

#include "ferry/sdk/lock_file.hpp"
#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/poll_wait.hpp"
#include "file_permissions.hpp"

namespace ferry::plugin {
namespace {

constexpr timespec retry_after{0, 1'000'000};

struct stat status_of(int file) {
  struct stat status {};
  if (::fstat(file, &status) != 0) throw os_failure(errno, "looking at the lock file");
  return status;
}

}  // namespace

Failure failure_to_make(int directory, int error, std::string_view context) {
  Failure plain = os_failure(error, context);
  struct stat status {};
  if (error != EACCES || ::fstat(directory, &status) != 0) return plain;
  return Failure(plain.status(), std::string(plain.what()) + " (its directory is " + permissions(status) + ")", error);
}

LockFile::LockFile(int directory, std::string name, std::int64_t patience_ms)
    : directory_(directory), name_(std::move(name)) {
  const std::int64_t deadline_ns = monotonic_ns() + patience_ms * 1'000'000;
  while (!try_acquire()) {
    if (deadline_passed(deadline_ns)) {
      throw Failure(FERRY_ADDRESS_IN_USE, "another process holds the lock file " + name_ + " for too long");
    }
    ::nanosleep(&retry_after, nullptr);
  }
}

LockFile::~LockFile() {
  struct stat status {};
  if (::fstat(file_.get(), &status) == 0 && status.st_size == 0) ::unlinkat(directory_, name_.c_str(), 0);
}

bool LockFile::try_acquire() {
  // O_NONBLOCK: a FIFO planted under the name must not hang the open.
  const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  file_.reset(::openat(directory_, name_.c_str(), flags, 0600));
  if (!file_ && errno == ELOOP) {
    throw Failure(FERRY_PERMISSION,
                  "the lock file " + name_ + " is a symbolic link, which is never followed; remove it");
  }
  if (!file_) throw failure_to_make(directory_, errno, "opening the lock file " + name_);
  const struct stat ours = status_of(file_.get());
  if (!S_ISREG(ours.st_mode) || (ours.st_uid != ::geteuid() && ours.st_uid != 0)) {
    throw Failure(FERRY_PERMISSION, "the lock file " + name_ + " is not a plain file of ours (uid " +
                                        std::to_string(ours.st_uid) + " made it); remove it");
  }
  if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK || errno == EINTR) return false;
    throw os_failure(errno, "locking " + name_);
  }
  struct stat named {};
  return ::fstatat(directory_, name_.c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_ino == ours.st_ino &&
         named.st_dev == ours.st_dev;
}

}  // namespace ferry::plugin

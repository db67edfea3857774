#include "quic_keylog.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "ferry/sdk/os_error.hpp"

namespace ferry::quic {
namespace {

using plugin::Failure;

constexpr mode_t group_and_others = 077;

}  // namespace

// Without waiting: the open of a FIFO lasts until somebody reads it.
Keylog::Keylog(const std::string& path)
    : file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC, 0600)) {
  const std::string what = "keylog " + path;
  if (!file_) {
    if (errno == ELOOP) throw Failure(FERRY_INVALID, what + ": it is a symbolic link", ELOOP);
    if (errno == ENXIO) throw Failure(FERRY_INVALID, what + ": it is no regular file", ENXIO);
    throw plugin::os_failure(errno, what);
  }
  struct stat facts {};
  if (::fstat(file_.get(), &facts) != 0) throw plugin::os_failure(errno, what);
  if (!S_ISREG(facts.st_mode)) throw Failure(FERRY_INVALID, what + ": it is no regular file");
  if (facts.st_uid != ::geteuid()) throw Failure(FERRY_PERMISSION, what + ": it belongs to another user");
  if ((facts.st_mode & group_and_others) != 0) {
    throw Failure(FERRY_PERMISSION, what + ": others than its owner may open it; chmod 600 it, or name another file");
  }
}

// A capture that cannot be read is no reason to fail a connection.
void Keylog::append(std::string_view line) const noexcept { (void)!::write(file_.get(), line.data(), line.size()); }

std::string keylog_of_environment() {
  const char* const path = ::secure_getenv("SSLKEYLOGFILE");
  return path == nullptr ? std::string() : path;
}

}  // namespace ferry::quic

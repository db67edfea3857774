#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/private_directory.hpp"

namespace ferry::plugin {

UniqueFd open_private_directory(int at, const std::string& path, Absent absent) {
  if (absent == Absent::make && ::mkdirat(at, path.c_str(), 0700) != 0 && errno != EEXIST) {
    throw os_failure(errno, "making directory " + path);
  }
  UniqueFd directory(::openat(at, path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  const int error = errno;
  if (!directory && error != ELOOP && error != ENOTDIR) throw os_failure(error, "opening directory " + path);
  // Whoever made a directory of that name first could otherwise read and answer what is ours.
  struct stat found {};
  if (!directory || ::fstat(directory.get(), &found) != 0 || found.st_uid != ::geteuid() ||
      (found.st_mode & 077) != 0) {
    throw Failure(FERRY_PERMISSION, path + " must be a directory of this user alone with mode 0700; remove it");
  }
  return directory;
}

}  // namespace ferry::plugin

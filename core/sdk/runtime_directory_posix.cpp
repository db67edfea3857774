#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/runtime_directory.hpp"

namespace ferry::plugin {

std::string runtime_directory() {
  const char* const base = ::secure_getenv("XDG_RUNTIME_DIR");
  std::string directory = base != nullptr && base[0] == '/' ? std::string(base) + (base[1] == '\0' ? "" : "/") + "ferry"
                                                            : "/tmp/ferry-" + std::to_string(::geteuid());
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    throw os_failure(errno, "making the run-time directory " + directory);
  }
  struct stat found {};
  if (::lstat(directory.c_str(), &found) != 0) throw os_failure(errno, "run-time directory " + directory);
  if (!S_ISDIR(found.st_mode) || found.st_uid != ::geteuid() || (found.st_mode & 077) != 0) {
    throw Failure(FERRY_PERMISSION, "the run-time directory " + directory +
                                        " must be a directory of this user alone with mode 0700; remove it or set "
                                        "XDG_RUNTIME_DIR");
  }
  return directory;
}

}  // namespace ferry::plugin

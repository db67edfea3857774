#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "runtime_state.hpp"

namespace ferry {

std::filesystem::path private_runtime_dir() {
  const char* const base = ::secure_getenv("XDG_RUNTIME_DIR");
  const std::filesystem::path directory = base != nullptr && base[0] == '/'
                                              ? std::filesystem::path(base) / "ferry"
                                              : std::filesystem::path("/tmp/ferry-" + std::to_string(::geteuid()));
  const auto refuse = [&](const char* detail, int os_error) -> Error {
    return Error(Status::permission, "use runtime directory", directory.string(), detail, os_error);
  };
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) throw refuse("cannot make it", errno);
  struct stat found {};
  // Whoever made a directory of that name in /tmp first could otherwise read and answer our connections.
  if (::lstat(directory.c_str(), &found) != 0) throw refuse("", errno);
  if (!S_ISDIR(found.st_mode) || found.st_uid != ::geteuid() || (found.st_mode & 077) != 0) {
    throw refuse("it must be a directory of this user alone with mode 0700; remove it or set XDG_RUNTIME_DIR", 0);
  }
  return directory;
}

}  // namespace ferry

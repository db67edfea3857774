// A lock between processes, for a few system calls at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ferry/plugin.hpp"
#include "ferry/sdk/unique_fd.hpp"

namespace ferry::plugin {

/// As os_failure, for a file that could not be made in the open `directory`: where it may not be written to, the text
/// has its mode and owner.
Failure failure_to_make(int directory, int error, std::string_view context = {});

/// Holds flock(2) on `name` in the directory open as `directory`, from construction to destruction. The file is made
/// 0600 when absent; a symbolic link, another kind of file or another user's is refused, so nobody else can hold or
/// remove the lock. On destruction the file is removed while the lock is still held, unless it has content (then it is
/// somebody else's as well). Removal is safe because an acquirer that finds its file no longer under the name starts
/// over. Threads of one process exclude one another too: flock belongs to the open file.
class LockFile {
 public:
  /// Waits up to `patience_ms` for another holder. Throws Failure: ADDRESS_IN_USE when that was not enough, PERMISSION,
  /// or what the system says.
  LockFile(int directory, std::string name, std::int64_t patience_ms);
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;
  ~LockFile();

 private:
  bool try_acquire();

  int directory_;
  std::string name_;
  UniqueFd file_;
};

}  // namespace ferry::plugin

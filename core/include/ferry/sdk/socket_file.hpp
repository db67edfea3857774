// The file of a listening Unix socket: made with its permissions, taken over when stale, removed when ours.
//
// Taking over removes a file, so it must never hit a live socket. Three things see to that: the probe asks the kernel
// whether any process has the socket bound, without disturbing that process; the lock file keeps other takers away
// between probe and removal; and a listener removes its file while the socket is still bound, so that nobody takes it
// for stale. Probing with a stream connect was rejected: it leaves a phantom client in the live server's queue, and it
// takes a server between bind and listen for dead.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "ferry/plugin.hpp"
#include "ferry/sdk/unique_fd.hpp"

namespace ferry::plugin {

struct SocketFileOptions {
  mode_t mode = 0600;
  std::optional<uid_t> owner;   ///< unset: ours
  std::optional<gid_t> group;   ///< unset: ours
  bool make_directory = false;  ///< make the parent directory, 0700, when absent
  bool take_over = true;        ///< replace a stale socket file
};

/// A bound socket's file. Move-only; destroy it before the socket is closed. Not thread safe.
class SocketFile {
 public:
  /// Binds `socket` at the absolute `path`, with mode, owner and group in force on return; the caller calls listen(2)
  /// only then, so no client ever gets in under other permissions. Throws Failure: ADDRESS_IN_USE (a live socket, or
  /// a file or link that is no socket), NOT_FOUND, PERMISSION, INVALID, IO. Does not block beyond the file system and
  /// the lock file, 1 s at most.
  static SocketFile bind(int socket, const std::string& path, const SocketFileOptions& options);

  SocketFile(SocketFile&& other) noexcept;
  SocketFile& operator=(SocketFile&&) = delete;
  /// Removes the file unless the path leads to another one by now.
  ~SocketFile();

  const std::string& path() const noexcept { return path_; }
  /// The permission bits in force, -1 when the file is gone.
  int mode() const noexcept;

 private:
  SocketFile(UniqueFd directory, std::string path) noexcept;
  void apply(const SocketFileOptions& options) const;
  const char* name() const noexcept;

  UniqueFd directory_;
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;  // stays taken as long as the socket is bound, so it cannot be another file's
};

/// Makes `directory` with mode 0700 unless it is there. One that is there must be ours or root's and writable by
/// nobody else (a sticky one, as /tmp, will do), since whoever may write to it could swap the socket. Throws Failure.
void make_private_directory(const std::string& directory);

}  // namespace ferry::plugin

// Writing where nobody reads any more, without the signal.
//
// send(2) has MSG_NOSIGNAL; write(2), splice(2) and sendfile(2) have nothing like it before Linux 6.18, and the
// disposition of a signal belongs to the application. So SIGPIPE is kept from the calling thread for the call.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <cerrno>
#include <cstdint>

#include "ferry/abi.h"

namespace ferry::plugin {

/// Keeps SIGPIPE from the calling thread while in scope: two system calls.
class SigpipeBlock {
 public:
  SigpipeBlock() noexcept;
  ~SigpipeBlock();
  SigpipeBlock(const SigpipeBlock&) = delete;
  SigpipeBlock& operator=(const SigpipeBlock&) = delete;

  /// Takes out the signal that came with EPIPE. One that was pending before stays pending.
  void discard_raised() noexcept;

 private:
  sigset_t sigpipe_;
  sigset_t before_;
  bool was_pending_ = false;
};

/// Runs `call`, a system call (returns ssize_t, sets errno), so that no SIGPIPE comes of it. [any-thread]
template <class Call>
ssize_t without_sigpipe(Call&& call) noexcept {
  SigpipeBlock block;
  const ssize_t result = call();
  if (result < 0 && errno == EPIPE) {
    block.discard_raised();
    errno = EPIPE;
  }
  return result;
}

/// writev(2) to a pipe, its results and errno, without SIGPIPE: one system call where the kernel has RWF_NOSIGNAL
/// (Linux 6.18), else three. [any-thread]
ssize_t write_pipe(int fd, const ferry_iovec* pieces, std::uint32_t count) noexcept;

}  // namespace ferry::plugin

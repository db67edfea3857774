#include "tcp_sendfile.hpp"

#include <signal.h>
#include <sys/sendfile.h>

#include <cerrno>
#include <ctime>

namespace ferry::tcp {
namespace {

/// Keeps SIGPIPE from the calling thread while in scope.
class SigpipeBlock {
 public:
  SigpipeBlock() noexcept {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
    if (sigismember(&before_, SIGPIPE) != 1) return;  // it could not have been pending
    sigset_t pending;
    was_pending_ = sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
  }
  ~SigpipeBlock() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SigpipeBlock(const SigpipeBlock&) = delete;
  SigpipeBlock& operator=(const SigpipeBlock&) = delete;

  /// Takes out the signal that came with EPIPE. Signals of one number do not queue, so one that was pending before has
  /// swallowed ours. sigtimedwait prefers the thread's own signals to those of the process, so it takes ours.
  void discard_raised() noexcept {
    if (was_pending_) return;
    const timespec at_once{};
    while (sigtimedwait(&sigpipe_, nullptr, &at_once) < 0 && errno == EINTR) {
    }
  }

 private:
  sigset_t sigpipe_;
  sigset_t before_;
  bool was_pending_ = false;
};

}  // namespace

ssize_t send_file_without_signal(int fd, int file, std::uint64_t offset, std::size_t size) noexcept {
  off_t position = static_cast<off_t>(offset);
  ssize_t sent;
  int error;
  {
    SigpipeBlock block;
    sent = sendfile(fd, file, &position, size);
    error = errno;
    if (sent < 0 && error == EPIPE) block.discard_raised();
  }
  errno = error;
  return sent;
}

}  // namespace ferry::tcp

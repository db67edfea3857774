#include <signal.h>
#include <sys/uio.h>

#include <atomic>
#include <cstddef>
#include <ctime>

#include "ferry/sdk/sigpipe.hpp"

namespace ferry::plugin {
namespace {

static_assert(sizeof(iovec) == sizeof(ferry_iovec) && offsetof(iovec, iov_base) == offsetof(ferry_iovec, data) &&
                  offsetof(iovec, iov_len) == offsetof(ferry_iovec, size),
              "gathered writes pass the caller's pieces to the kernel as they are");

constexpr int rwf_nosignal = 0x100;  // RWF_NOSIGNAL of <linux/fs.h>, which Debian 12's headers do not have yet
constexpr off_t own_position = -1;   // pwritev2's way to say writev

std::atomic<bool> kernel_has_nosignal{true};  // until it says otherwise

}  // namespace

SigpipeBlock::SigpipeBlock() noexcept {
  sigemptyset(&sigpipe_);
  sigaddset(&sigpipe_, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &sigpipe_, &before_);
  if (sigismember(&before_, SIGPIPE) != 1) return;  // it could not have been pending
  sigset_t pending;
  was_pending_ = sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
}

SigpipeBlock::~SigpipeBlock() {
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  errno = error;
}

// Signals of one number do not queue, so one that was pending before has swallowed ours. sigtimedwait prefers the
// thread's own signals to those of the process, so it takes ours.
void SigpipeBlock::discard_raised() noexcept {
  if (was_pending_) return;
  const timespec at_once{};
  while (sigtimedwait(&sigpipe_, nullptr, &at_once) < 0 && errno == EINTR) {
  }
}

ssize_t write_pipe(int fd, const ferry_iovec* pieces, std::uint32_t count) noexcept {
  const auto* const vector = reinterpret_cast<const iovec*>(pieces);
  const int size = static_cast<int>(count);
  if (kernel_has_nosignal.load(std::memory_order_relaxed)) [[likely]] {
    const ssize_t written = ::pwritev2(fd, vector, size, own_position, rwf_nosignal);
    if (written >= 0 || errno != EOPNOTSUPP) return written;
    kernel_has_nosignal.store(false, std::memory_order_relaxed);
  }
  return without_sigpipe([&] { return ::writev(fd, vector, size); });
}

}  // namespace ferry::plugin

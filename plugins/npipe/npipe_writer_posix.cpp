#include "npipe_writer_posix.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "ferry/plugin.hpp"
#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/poll_wait.hpp"
#include "ferry/sdk/sigpipe.hpp"

namespace ferry::npipe {
namespace {

constexpr std::uint32_t writes_per_look = 32;  // a look is a poll of 200 ns

bool add(int poll, int fifo, std::uint32_t events) noexcept {
  epoll_event event{};
  event.events = events;
  return ::epoll_ctl(poll, EPOLL_CTL_ADD, fifo, &event) == 0;
}

/// What splice says of descriptors that it cannot join.
bool is_of_no_pipe(int error) noexcept { return error == EINVAL || error == ESPIPE || error == EBADF; }

bool has_hung_up(int in) noexcept {
  pollfd entry{in, 0, 0};
  return ::poll(&entry, 1, 0) > 0;
}

}  // namespace

std::int64_t FifoWriter::write(const ferry_iovec* pieces, std::uint32_t count, std::int64_t deadline_ns,
                               plugin::Interrupt& interrupt) noexcept {
  return repeat(deadline_ns, interrupt, [&] {
    return without_signal([&] { return plugin::write_pipe(out_.get(), pieces, count); },
                          [&] {
                            if (count == 1) return ::write(out_.get(), pieces->data, pieces->size);
                            return ::writev(out_.get(), reinterpret_cast<const iovec*>(pieces),
                                            static_cast<int>(count));
                          });
  });
}

std::int64_t FifoWriter::send_file(int file, std::uint64_t offset, std::uint64_t size, std::int64_t deadline_ns,
                                   plugin::Interrupt& interrupt) noexcept {
  if (size == 0) return 0;
  bool unsupported = false;
  const std::int64_t sent = repeat(deadline_ns, interrupt, [&] {
    const auto splice = [&] {
      auto position = static_cast<off64_t>(offset);
      return ::splice(file, &position, out_.get(), nullptr, size, SPLICE_F_NONBLOCK);
    };
    const ssize_t moved = without_signal([&] { return plugin::without_sigpipe(splice); }, splice);
    unsupported = moved < 0 && is_of_no_pipe(errno);
    return moved;
  });
  return unsupported ? std::int64_t{FERRY_UNSUPPORTED} : sent;
}

std::int64_t FifoWriter::send_from(int pipe, std::uint64_t size, plugin::Interrupt& interrupt) noexcept {
  bool unsupported = false;
  const std::int64_t sent = repeat(FERRY_NO_WAIT, interrupt, [&] {
    const auto splice = [&] { return ::splice(pipe, nullptr, out_.get(), nullptr, size, SPLICE_F_NONBLOCK); };
    const ssize_t moved = without_signal([&] { return plugin::without_sigpipe(splice); }, splice);
    unsupported = moved < 0 && is_of_no_pipe(errno);
    return moved;
  });
  if (unsupported) return FERRY_UNSUPPORTED;
  return sent == 0 ? std::int64_t{FERRY_END} : sent;
}

/// Whoever puts bytes into it does not write: this is where such a one learns that the peer has gone.
std::int64_t FifoWriter::pipe() noexcept {
  if (!out_) return FERRY_CLOSED;
  if (own_reader_) look_for_peer();
  return out_.get();
}

/// Calls `plain` while our own reader keeps the signal away, else `guarded`.
template <class Guarded, class Plain>
ssize_t FifoWriter::without_signal(Guarded&& guarded, Plain&& plain) noexcept {
  if (own_reader_ && (++writes_ % writes_per_look == 0 || input_ended_.load(std::memory_order_relaxed)))
    look_for_peer();
  return own_reader_ ? plain() : guarded();
}

template <class Call>
std::int64_t FifoWriter::repeat(std::int64_t deadline_ns, plugin::Interrupt& interrupt, Call&& call) noexcept {
  if (!out_) return FERRY_CLOSED;
  for (;;) {
    const ssize_t written = call();
    if (written >= 0) [[likely]]
      return written;
    if (errno == EPIPE) return FERRY_RESET;
    if (errno == EAGAIN) {
      if (const ferry_status status = wait(deadline_ns, interrupt); status != FERRY_OK) return status;
    } else if (errno != EINTR) {
      return errno == ENOMEM ? FERRY_NO_RESOURCES : FERRY_IO;
    }
  }
}

ferry_status FifoWriter::wait(std::int64_t deadline_ns, plugin::Interrupt& interrupt) noexcept {
  if (own_reader_) look_for_peer();
  pollfd entries[3] = {{out_.get(), POLLOUT, 0}, {own_reader_ ? in_ : -1, 0, 0}, {}};
  const ferry_status status = plugin::wait_any(entries, 2, deadline_ns, interrupt);
  if (status == FERRY_OK && entries[1].revents != 0) look_for_peer();
  return status;
}

std::int32_t FifoWriter::arm() noexcept {
  if (!out_) return FERRY_READY;
  if (own_reader_) look_for_peer();
  return FERRY_ARMED;
}

/// Closes our own reader when the other direction has ended, so that the kernel tells when the peer reads no more.
void FifoWriter::look_for_peer() noexcept {
  if (!has_hung_up(in_)) return;
  const std::lock_guard lock(poll_mutex_);
  own_reader_.reset();
  if (poll_) (void)::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, in_, nullptr);
}

void FifoWriter::shut() {
  const std::lock_guard lock(poll_mutex_);
  if (poll_ && own_reader_) (void)::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, in_, nullptr);
  out_.reset();  // which takes it out of the epoll instance as well
  own_reader_.reset();
}

int FifoWriter::pollable() {
  const std::lock_guard lock(poll_mutex_);
  if (poll_) return poll_.get();
  plugin::UniqueFd poll(::epoll_create1(EPOLL_CLOEXEC));
  // Both tell of errors and hang-ups without being asked.
  const bool made =
      poll && (!out_ || add(poll.get(), out_.get(), EPOLLOUT)) && (!own_reader_ || add(poll.get(), in_, 0));
  if (!made) throw plugin::os_failure(errno);
  poll_ = std::move(poll);
  return poll_.get();
}

}  // namespace ferry::npipe

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

#include "relay/splice.hpp"

namespace ferry::host {
namespace {

bool is_ready(std::int64_t pipe, short events) noexcept {
  pollfd entry{static_cast<int>(pipe), events, 0};
  return ::poll(&entry, 1, 0) > 0;
}

bool is_full(std::int64_t pipe) noexcept { return !is_ready(pipe, POLLOUT); }

/// Whether a full pipe holds little: each piece that came in by itself, however small, takes a page of its room. Such a
/// source is copied from faster.
bool holds_crumbs(std::int64_t pipe) noexcept {
  const int fd = static_cast<int>(pipe);
  int held = 0;
  return ::ioctl(fd, FIONREAD, &held) == 0 && held < ::fcntl(fd, F_GETPIPE_SZ) / 4;
}

}  // namespace

bool SharedPipe::open() noexcept {
  if (output_ >= 0) return true;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
  output_ = ends[0];
  input_ = ends[1];
  return true;
}

bool SharedPipe::drain(MutableBytes into) noexcept {
  while (!into.empty()) {
    const ssize_t size = ::read(static_cast<int>(output_), into.data(), into.size());
    if (size > 0) {
      into = into.subspan(static_cast<std::size_t>(size));
    } else if (size == 0 || errno != EINTR) {
      close();
      return false;
    }
  }
  return true;
}

void SharedPipe::close() noexcept {
  if (output_ < 0) return;
  ::close(static_cast<int>(output_));
  ::close(static_cast<int>(input_));
  output_ = input_ = -1;
}

Splice::Splice(Connection& source, Connection& sink) noexcept : source_(source.raw()), sink_(sink.raw()) {
  if (source.kind() != FERRY_STREAM || sink.kind() != FERRY_STREAM) return;
  of_source_ = source.extension<ferry_splice>(FERRY_EXT_SPLICE);
  of_sink_ = sink.extension<ferry_splice>(FERRY_EXT_SPLICE);
  if (of_source_ == nullptr || of_sink_ == nullptr) return;
  const bool receives = FERRY_HAS(of_source_, ferry_splice, receive);
  const bool sends = FERRY_HAS(of_sink_, ferry_splice, send);
  if (sends && FERRY_HAS(of_source_, ferry_splice, pipe)) {
    way_ = Way::from_pipe;
  } else if (receives && FERRY_HAS(of_sink_, ferry_splice, pipe)) {
    way_ = Way::to_pipe;
  } else if (receives && sends) {
    way_ = Way::over_pipe;
  }
}

Splice::Moved Splice::move(SharedPipe& between, std::size_t limit) noexcept {
  switch (way_) {
    case Way::from_pipe:
      return from_pipe(limit);
    case Way::to_pipe:
      return to_pipe(limit);
    case Way::over_pipe:
      return over_pipe(between, limit);
    case Way::none:
      break;
  }
  return {};
}

Splice::Moved Splice::from_pipe(std::size_t limit) noexcept {
  const std::int64_t pipe = of_source_->pipe(source_, FERRY_READ);
  if (pipe < 0) return give_up();
  const std::int64_t moved = of_sink_->send(sink_, pipe, limit);
  if (moved > 0) return {static_cast<std::size_t>(moved), static_cast<std::size_t>(moved)};
  if (moved == FERRY_UNSUPPORTED) return give_up();
  return {0, 0, moved == FERRY_WOULD_BLOCK && is_ready(pipe, POLLIN)};
}

Splice::Moved Splice::to_pipe(std::size_t limit) noexcept {
  const std::int64_t pipe = of_sink_->pipe(sink_, FERRY_WRITE);
  if (pipe < 0) return give_up();
  const std::int64_t moved = of_source_->receive(source_, pipe, limit);
  if (moved > 0) return {static_cast<std::size_t>(moved), static_cast<std::size_t>(moved)};
  if (moved == FERRY_UNSUPPORTED) return give_up();
  const bool full = moved == FERRY_WOULD_BLOCK && is_full(pipe);
  if (full && holds_crumbs(pipe)) give_up();
  return {0, 0, full};
}

Splice::Moved Splice::over_pipe(SharedPipe& between, std::size_t limit) noexcept {
  if (!between.open()) return {};
  const std::int64_t received = of_source_->receive(source_, between.input(), limit);
  if (received == FERRY_UNSUPPORTED) return give_up();
  if (received <= 0) return {};
  if (holds_crumbs(between.input()) && is_full(between.input())) give_up();
  Moved moved{static_cast<std::size_t>(received)};
  while (moved.out < moved.in) {
    const std::int64_t sent = of_sink_->send(sink_, between.output(), moved.in - moved.out);
    if (sent == FERRY_UNSUPPORTED) give_up();
    if (sent <= 0) break;
    moved.out += static_cast<std::size_t>(sent);
  }
  return moved;
}

}  // namespace ferry::host

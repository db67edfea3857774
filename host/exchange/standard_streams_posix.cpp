#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>

#include "exchange/standard_streams.hpp"

namespace ferry::host {
namespace {

int timeout_ms(Deadline deadline) {
  if (deadline.ns() == FERRY_FOREVER) return -1;
  const std::int64_t left_ns = std::max<std::int64_t>(deadline.ns() - monotonic_now_ns(), 0);
  return static_cast<int>(std::min<std::int64_t>((left_ns + 999'999) / 1'000'000, INT_MAX));
}

}  // namespace

StandardInput::StandardInput() {
  ::signal(SIGPIPE, SIG_IGN);  // a closed standard output is an error to report, not a death without a word
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Error(Status::no_resources, "open", "pipe", "", errno);
  cancel_read_ = ends[0];
  cancel_write_ = ends[1];
}

StandardInput::~StandardInput() {
  ::close(cancel_read_);
  ::close(cancel_write_);
}

IoResult StandardInput::read(MutableBytes into, Deadline deadline) {
  for (;;) {
    pollfd waits[] = {{STDIN_FILENO, POLLIN, 0}, {cancel_read_, POLLIN, 0}};
    const int ready = ::poll(waits, 2, timeout_ms(deadline));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return {Status::io, 0};
    if (ready == 0) return {Status::timed_out, 0};
    if (waits[1].revents != 0) return {Status::interrupted, 0};
    const ssize_t got = ::read(STDIN_FILENO, into.data(), into.size());
    if (got > 0) return {Status::ok, static_cast<std::size_t>(got)};
    if (got == 0) return {Status::end, 0};
    if (errno != EINTR && errno != EAGAIN) return {Status::io, 0};
  }
}

void StandardInput::cancel() noexcept {
  const char byte = 0;
  [[maybe_unused]] const ssize_t ignored = ::write(cancel_write_, &byte, 1);  // one byte fits an empty pipe
}

bool StandardInput::is_terminal() const noexcept { return ::isatty(STDIN_FILENO) == 1; }

bool write_standard_output(ConstBytes bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd room{STDOUT_FILENO, POLLOUT, 0};
      ::poll(&room, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

void end_standard_output() noexcept {
  // The descriptor's number stays taken: a later open must not become standard output.
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nowhere < 0) return;
  ::dup2(nowhere, STDOUT_FILENO);
  ::close(nowhere);
}

}  // namespace ferry::host

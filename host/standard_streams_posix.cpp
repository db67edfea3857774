#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "ferry/sdk/unique_fd.hpp"
#include "standard_streams.hpp"

namespace ferry::host {

void fill_closed_standard_streams() noexcept {
  // open() takes the lowest free number: once one above standard error is given, those below are all taken.
  int opened = 0;
  while ((opened = ::open("/dev/null", O_RDWR)) >= 0 && opened <= STDERR_FILENO) {
  }
  if (opened > STDERR_FILENO) ::close(opened);
}

void ignore_broken_pipes() noexcept { ::signal(SIGPIPE, SIG_IGN); }

struct StandardInput::State {
  plugin::UniqueFd cancelled{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};  // readable for good once cancelled
};

StandardInput::StandardInput() : state_(std::make_shared<State>()) {
  ignore_broken_pipes();
  if (!state_->cancelled) throw Error(Status::no_resources, "make", "event descriptor", "", errno);
}

StandardInput::~StandardInput() = default;

IoResult StandardInput::read(MutableBytes into, Deadline deadline) {
  for (;;) {
    pollfd waits[] = {{STDIN_FILENO, POLLIN, 0}, {state_->cancelled.get(), POLLIN, 0}};
    const int ready = ::poll(waits, 2, deadline.timeout_ms());
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
  (void)::eventfd_write(state_->cancelled.get(),
                        1);  // fails only when the counter is full, which makes it readable as well
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

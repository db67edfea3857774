#include "npipe_connection_posix.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/poll_wait.hpp"
#include "ferry/sdk/sigpipe.hpp"
#include "npipe_description.hpp"

namespace ferry::npipe {
namespace {

using plugin::UniqueFd;

ferry_status failure(int error) noexcept { return error == ENOMEM ? FERRY_NO_RESOURCES : FERRY_IO; }

UniqueFd epoll_around(int fifo) {
  UniqueFd poll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event event{};
  event.events = EPOLLOUT;  // and EPOLLERR, always: nobody reads any more
  const bool made = poll && (fifo < 0 || ::epoll_ctl(poll.get(), EPOLL_CTL_ADD, fifo, &event) == 0);
  if (!made) throw plugin::os_failure(errno);
  return poll;
}

}  // namespace

std::int64_t PipeConnection::read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept {
  if (size == 0) return 0;
  const int fifo = fifos_.in.get();
  for (;;) {
    const ssize_t received = ::read(fifo, data, size);
    if (received > 0) [[likely]]
      return received;
    if (received == 0) return FERRY_END;
    if (errno == EAGAIN) {
      const ferry_status status = plugin::wait_ready(fifo, POLLIN, deadline_ns, interrupt_);
      if (status != FERRY_OK) return status;
    } else if (errno != EINTR) {
      return failure(errno);
    }
  }
}

std::int64_t PipeConnection::write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t,
                                   std::int64_t deadline_ns) noexcept {
  return write_with(deadline_ns, [&] { return plugin::write_pipe(fifos_.out.get(), pieces, count); });
}

template <class Call>
std::int64_t PipeConnection::write_with(std::int64_t deadline_ns, Call&& call) noexcept {
  if (!fifos_.out) return FERRY_CLOSED;
  for (;;) {
    const ssize_t written = call();
    if (written >= 0) [[likely]]
      return written;
    if (errno == EPIPE) return FERRY_RESET;
    if (errno == EAGAIN) {
      const ferry_status status = plugin::wait_ready(fifos_.out.get(), POLLOUT, deadline_ns, interrupt_);
      if (status != FERRY_OK) return status;
    } else if (errno != EINTR) {
      return failure(errno);
    }
  }
}

std::int32_t PipeConnection::arm(ferry_interest interest) const noexcept {
  return interest == FERRY_WRITE && !fifos_.out ? FERRY_READY : FERRY_ARMED;
}

ferry_status PipeConnection::pollable(ferry_interest interest, ferry_pollable& out) {
  out.events = FERRY_POLL_IN;
  out.handle = fifos_.in.get();
  if (interest == FERRY_READ) return FERRY_OK;
  const std::lock_guard lock(write_poll_mutex_);
  if (!write_poll_) write_poll_ = epoll_around(fifos_.out.get());
  out.handle = write_poll_.get();
  return FERRY_OK;
}

ferry_status PipeConnection::shutdown_write() {
  const std::lock_guard lock(write_poll_mutex_);
  fifos_.out.reset();  // which takes it out of the epoll instance as well
  return FERRY_OK;
}

// What was written is in the FIFO, which lives for as long as the peer has it open: there is nothing to wait for.
ferry_status PipeConnection::finish(std::int64_t) { return shutdown_write(); }

void PipeConnection::describe(ferry_connection_info& info) const noexcept {
  plugin::copy_address(info.local_address, local_address_);
  plugin::copy_address(info.peer_address, peer_address_);
}

void PipeConnection::effective(ferry_value* values, std::uint32_t count) const noexcept {
  std::fill_n(values, count, ferry_value{});
  if (count > option_pipe_size) values[option_pipe_size] = {fifos_.out_bytes, nullptr, 1, 0};
}

std::int64_t PipeConnection::send_file(int file, std::uint64_t offset, std::uint64_t size,
                                       std::int64_t deadline_ns) noexcept {
  if (size == 0) return 0;
  bool unsupported = false;
  const std::int64_t sent = write_with(deadline_ns, [&] {
    auto position = static_cast<off64_t>(offset);
    const ssize_t moved = plugin::without_sigpipe(
        [&] { return ::splice(file, &position, fifos_.out.get(), nullptr, size, SPLICE_F_NONBLOCK); });
    unsupported = moved < 0 && (errno == EINVAL || errno == ESPIPE || errno == EBADF);
    return moved;
  });
  return unsupported ? std::int64_t{FERRY_UNSUPPORTED} : sent;
}

const void* PipeConnection::extension(std::string_view id) noexcept {
  static constexpr ferry_file file = {
      sizeof(ferry_file), 0,
      [](ferry_connection* connection, std::int64_t descriptor, std::uint64_t offset, std::uint64_t size,
         std::int64_t deadline_ns) noexcept {
        return from(connection).send_file(static_cast<int>(descriptor), offset, size, deadline_ns);
      }};
  return id == FERRY_EXT_FILE ? &file : nullptr;
}

}  // namespace ferry::npipe

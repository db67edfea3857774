#include "npipe_connection_posix.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "ferry/sdk/poll_wait.hpp"
#include "npipe_description.hpp"

namespace ferry::npipe {

std::int64_t PipeConnection::read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept {
  if (size == 0) return 0;
  for (;;) {
    const ssize_t received = ::read(in_.get(), data, size);
    if (received > 0) [[likely]]
      return received;
    if (received == 0) {
      writer_.input_ended();
      return FERRY_END;
    }
    if (errno == EAGAIN) {
      const ferry_status status = plugin::wait_ready(in_.get(), POLLIN, deadline_ns, interrupt_);
      if (status != FERRY_OK) return status;
    } else if (errno != EINTR) {
      return errno == ENOMEM ? FERRY_NO_RESOURCES : FERRY_IO;
    }
  }
}

ferry_status PipeConnection::pollable(ferry_interest interest, ferry_pollable& out) {
  out.handle = interest == FERRY_READ ? in_.get() : writer_.pollable();
  out.events = FERRY_POLL_IN;
  return FERRY_OK;
}

void PipeConnection::describe(ferry_connection_info& info) const noexcept {
  plugin::copy_address(info.local_address, local_address_);
  plugin::copy_address(info.peer_address, peer_address_);
}

void PipeConnection::effective(ferry_value* values, std::uint32_t count) const noexcept {
  std::fill_n(values, count, ferry_value{});
  if (count > option_pipe_size) values[option_pipe_size] = {out_bytes_, nullptr, 1, 0};
}

const void* PipeConnection::extension(std::string_view id) noexcept {
  static constexpr ferry_file file = {sizeof(ferry_file), 0,
                                      [](ferry_connection* connection, std::int64_t descriptor, std::uint64_t offset,
                                         std::uint64_t size, std::int64_t deadline_ns) noexcept {
                                        PipeConnection& self = from(connection);
                                        return self.writer_.send_file(static_cast<int>(descriptor), offset, size,
                                                                      deadline_ns, self.interrupt_);
                                      }};
  // There is no `receive`: whoever reads from a FIFO moves its bytes with their own `send`.
  static constexpr ferry_splice splice = {
      sizeof(ferry_splice), 0,
      [](ferry_connection* connection, ferry_interest interest) noexcept -> std::int64_t {
        PipeConnection& self = from(connection);
        return interest == FERRY_READ ? self.in_.get() : self.writer_.pipe();
      },
      nullptr,
      [](ferry_connection* connection, std::int64_t pipe, std::uint64_t size) noexcept {
        PipeConnection& self = from(connection);
        return self.writer_.send_from(static_cast<int>(pipe), size, self.interrupt_);
      }};
  if (id == FERRY_EXT_FILE) return &file;
  return id == FERRY_EXT_SPLICE ? &splice : nullptr;
}

}  // namespace ferry::npipe

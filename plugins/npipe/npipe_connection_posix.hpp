// A connection over two FIFOs, one for each direction.
//
// Each operation is tried first and sleeps in poll(2) when the kernel says EAGAIN. Nothing is allocated or locked on
// the way. The directions share nothing, so a half-close closes one FIFO. The handle to poll for reading is the FIFO
// itself; for writing it is an epoll instance around the FIFO, made when it is first asked for, because the handle must
// outlive the half-close and a descriptor that an event loop still polls must not be closed below it.
#pragma once

#include <mutex>
#include <string>

#include "ferry/plugin.hpp"
#include "ferry/sdk/interrupt.hpp"
#include "npipe_handshake_posix.hpp"

namespace ferry::npipe {

/// Members are the ABI's connection operations; abi.h has their contracts.
class PipeConnection : public plugin::Connection<PipeConnection> {
 public:
  PipeConnection(FifoPair fifos, std::string local_address, std::string peer_address) noexcept
      : fifos_(std::move(fifos)), local_address_(std::move(local_address)), peer_address_(std::move(peer_address)) {}

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept;
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                     std::int64_t deadline_ns) noexcept;
  std::int32_t arm(ferry_interest interest) const noexcept;
  ferry_status pollable(ferry_interest interest, ferry_pollable& out);
  ferry_status shutdown_write();
  void interrupt() noexcept { interrupt_.raise(); }
  ferry_status finish(std::int64_t deadline_ns);
  void describe(ferry_connection_info& info) const noexcept;
  void effective(ferry_value* values, std::uint32_t count) const noexcept;
  static const void* extension(std::string_view id) noexcept;

 private:
  template <class Call>
  std::int64_t write_with(std::int64_t deadline_ns, Call&& call) noexcept;
  std::int64_t send_file(int file, std::uint64_t offset, std::uint64_t size, std::int64_t deadline_ns) noexcept;

  FifoPair fifos_;  // `out` is closed by the writer's half-close
  plugin::Interrupt interrupt_;
  std::mutex write_poll_mutex_;  // guards the making of write_poll_ against a half-close
  plugin::UniqueFd write_poll_;
  const std::string local_address_;
  const std::string peer_address_;
};

}  // namespace ferry::npipe

// A connection over two FIFOs, one for each direction, which share nothing: a half-close closes one of them.
//
// Each operation is tried first and sleeps in poll(2) when the kernel says EAGAIN. Nothing is allocated or locked on
// the way.
#pragma once

#include <string>

#include "ferry/plugin.hpp"
#include "ferry/sdk/interrupt.hpp"
#include "npipe_handshake_posix.hpp"
#include "npipe_writer_posix.hpp"

namespace ferry::npipe {

/// Members are the ABI's connection operations; abi.h has their contracts.
class PipeConnection : public plugin::Connection<PipeConnection> {
 public:
  PipeConnection(FifoPair fifos, std::string local_address, std::string peer_address) noexcept
      : in_(std::move(fifos.in)),
        writer_(std::move(fifos.out), std::move(fifos.own_reader), in_.get()),
        out_bytes_(fifos.out_bytes),
        local_address_(std::move(local_address)),
        peer_address_(std::move(peer_address)) {}

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept;
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t, std::int64_t deadline_ns) noexcept {
    return writer_.write(pieces, count, deadline_ns, interrupt_);
  }
  std::int32_t arm(ferry_interest interest) noexcept { return interest == FERRY_WRITE ? writer_.arm() : FERRY_ARMED; }
  ferry_status pollable(ferry_interest interest, ferry_pollable& out);
  ferry_status shutdown_write() {
    writer_.shut();
    return FERRY_OK;
  }
  void interrupt() noexcept { interrupt_.raise(); }
  /// What was written is in the FIFO, which lives for as long as the peer has it open: there is nothing to wait for.
  ferry_status finish(std::int64_t) { return shutdown_write(); }
  void describe(ferry_connection_info& info) const noexcept;
  void effective(ferry_value* values, std::uint32_t count) const noexcept;
  static const void* extension(std::string_view id) noexcept;

 private:
  plugin::UniqueFd in_;
  plugin::Interrupt interrupt_;
  FifoWriter writer_;
  const std::int64_t out_bytes_;
  const std::string local_address_;
  const std::string peer_address_;
};

}  // namespace ferry::npipe

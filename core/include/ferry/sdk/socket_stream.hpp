// The engine of a connection over a stream socket of Winsock.
//
// Nothing of the caller's is ever under way: input is taken and output given by calls that do not wait, so a deadline
// has nothing to cancel, a thread that ends takes nothing with it, and an idle connection owns no buffer. What a side
// sleeps on is an event of its own: the writer's is set by the system when there is room again (WSAEventSelect), the
// reader's by a read of no bytes that ends when there is something to take.
//
// Rejected: overlapped writes from a buffer of ours. They outlive the call, and Wine 8 loses what is left of one when
// the thread that began it ends at the wrong moment. WSAEventSelect for both directions: a socket has one such event.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "ferry/abi.h"
#include "ferry/sdk/handle_wait.hpp"
#include "ferry/sdk/interrupt.hpp"
#include "ferry/sdk/unique_handle.hpp"

namespace ferry::plugin {

/// Members are named and behave as the ABI's connection operations and carry their thread tags; a plugin's connection
/// forwards to them. See abi.h for statuses.
class SocketStream {
 public:
  /// Takes a connected stream socket made with WSA_FLAG_OVERLAPPED. Throws Failure(NO_RESOURCES).
  explicit SocketStream(UniqueSocket socket);
  SocketStream(const SocketStream&) = delete;
  SocketStream& operator=(const SocketStream&) = delete;
  ~SocketStream();

  SOCKET socket() const noexcept { return socket_.get(); }

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept;  // [reader]
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                     std::int64_t deadline_ns) noexcept;                               // [writer]
  std::int32_t arm(ferry_interest interest) noexcept;                                  // [reader] or [writer]
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) const noexcept;  // [any-thread]
  ferry_status shutdown_write() noexcept;                                              // [writer]
  void interrupt() noexcept { interrupt_.raise(); }                                    // [any-thread]

  /// The ABI's finish: until the peer acknowledged the last byte, where the system tells, or ended. [owner]
  ferry_status finish(std::int64_t deadline_ns) noexcept;
  /// Makes the coming close cut the connection with a reset. [owner]
  void reset_on_close() noexcept;

 private:
  // The reader's.
  std::int64_t try_read(void* data, std::uint64_t size) noexcept;
  bool wait_for_input() noexcept;
  bool settle_look() noexcept;
  // The writer's.
  std::int64_t try_write(const ferry_iovec* pieces, std::uint32_t count) noexcept;

  std::optional<bool> acknowledged() const noexcept;

  UniqueSocket socket_;
  Interrupt interrupt_;

  OVERLAPPED looking_{};
  UniqueHandle readable_ = make_event();  // set by the system when the look ends, reset by it when one starts
  bool peer_still_sends_ = false;         // finish has discarded something
  bool look_under_way_ = false;           // a read of no bytes
  ferry_status read_failure_ = FERRY_OK;  // for good

  UniqueHandle writable_ = make_event();   // set by the system when there is room again, and at the connection's end
  bool full_ = false;                      // a write has met a full queue since the event was reset
  ferry_status write_failure_ = FERRY_OK;  // for good
  bool write_shut_ = false;
};

}  // namespace ferry::plugin

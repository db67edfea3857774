// The writing half of a connection.
//
// Writing into a FIFO that nobody reads raises SIGPIPE. A flag against that costs 105 ns (writev instead of write), and
// blocking the signal, where the kernel has no flag (before Linux 6.18), 450 ns: of the 800 ns that a write and a read
// of 64 bytes take. So we read our own FIFO, or rather could: as long as `own_reader` is open, the signal cannot come,
// and nothing else changes, because nothing is ever read there. What goes with the signal is EPIPE, the news that the
// peer has gone; the end of the other direction tells that too. It is asked for when it can matter (before sleeping,
// and every few writes), and from then on own_reader is closed and the kernel tells by EPIPE, guarded against the
// signal. A peer that has only ended its own direction looks the same, and is written to that way.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "ferry/abi.h"
#include "ferry/sdk/interrupt.hpp"
#include "npipe_handshake_posix.hpp"

namespace ferry::npipe {

/// Tags as in abi.h.
class FifoWriter {
 public:
  /// `in` is the FIFO of the other direction, which its owner keeps open.
  FifoWriter(plugin::UniqueFd out, plugin::UniqueFd own_reader, int in) noexcept
      : out_(std::move(out)), own_reader_(std::move(own_reader)), in_(in) {}

  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::int64_t deadline_ns,
                     plugin::Interrupt& interrupt) noexcept;  // [writer]
  std::int64_t send_file(int file, std::uint64_t offset, std::uint64_t size, std::int64_t deadline_ns,
                         plugin::Interrupt& interrupt) noexcept;                                // [writer]
  std::int64_t send_from(int pipe, std::uint64_t size, plugin::Interrupt& interrupt) noexcept;  // [writer]
  std::int64_t pipe() noexcept;                                                                 // [writer]
  std::int32_t arm() noexcept;                                                                  // [writer]
  void shut();                                                                                  // [writer]

  /// An epoll instance, the same for life: it must outlive shut(), and a descriptor that an event loop still polls must
  /// not be closed below it. Made when first asked for. Throws Failure. [any-thread]
  int pollable();

  /// The other direction has ended: the peer may have gone. [reader]
  void input_ended() noexcept { input_ended_.store(true, std::memory_order_relaxed); }

 private:
  template <class Guarded, class Plain>
  ssize_t without_signal(Guarded&& guarded, Plain&& plain) noexcept;
  template <class Call>
  std::int64_t repeat(std::int64_t deadline_ns, plugin::Interrupt& interrupt, Call&& call) noexcept;
  ferry_status wait(std::int64_t deadline_ns, plugin::Interrupt& interrupt) noexcept;
  void look_for_peer() noexcept;

  plugin::UniqueFd out_;
  plugin::UniqueFd own_reader_;
  const int in_;
  std::uint32_t writes_ = 0;               // the writer's own
  std::atomic<bool> input_ended_ = false;  // a hint, which orders nothing
  std::mutex poll_mutex_;                  // guards the making of poll_ against changes of what it is around
  plugin::UniqueFd poll_;
};

}  // namespace ferry::npipe

// The engine of a connection over a connected, non-blocking stream socket; the tcp and uds plugins embed it.
//
// Each operation is tried first and sleeps in poll(2) only when the kernel says EAGAIN: one system call while data
// flows or the core spins, three when it must sleep. A blocking recv would save two of them, but only a signal could
// interrupt it. Nothing is allocated, and nothing is locked but for the first nap and the end of all naps.
//
// A reader naps in recv for its first 50 ms all the same, and only then sleeps in poll: being woken out of poll costs 2
// to 3 us more than out of recv, a twentieth of a round trip. A writer naps in send, which goes on filling the buffer
// as often as the peer empties it; otherwise each bufferful costs three system calls, a third of the throughput. An
// interrupt that falls into a nap is noticed at its end, which for a write is after four buffers at the latest.
//
// To nap, the socket loses O_NONBLOCK: every call that must not sleep says MSG_DONTWAIT. What cannot say that, splice
// and sendfile, ends the naps first. The flag is then set for good, and a call on its way into a nap does not sleep.
//
// Linux reports a reset once, to whichever direction asks first; the other direction then sees an end of stream. So a
// reset that the writer met is kept for the reader, who would otherwise take it for a peer that finished in order.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>

#include "ferry/abi.h"
#include "ferry/sdk/interrupt.hpp"
#include "ferry/sdk/poll_wait.hpp"
#include "ferry/sdk/unique_fd.hpp"

namespace ferry::plugin {

/// Members are named and behave as the ABI's connection operations and carry their thread tags; a plugin's connection
/// forwards to them. See abi.h for statuses.
class StreamSocket {
 public:
  /// How a graceful close works underneath.
  enum class Kind : std::uint8_t {
    local,   ///< bytes written are in the peer's queue at once
    network  ///< bytes written wait in our own queue for the peer's acknowledgement
  };

  /// Takes a connected SOCK_STREAM socket with O_NONBLOCK set, which it loses at the first nap.
  StreamSocket(UniqueFd socket, Kind kind) noexcept : socket_(std::move(socket)), kind_(kind) {}

  int fd() const noexcept { return socket_.get(); }

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept;  // [reader]
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                     std::int64_t deadline_ns) noexcept;                               // [writer]
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) const noexcept;  // [any-thread]
  ferry_status shutdown_write() noexcept;                                              // [writer]
  void interrupt() noexcept {                                                          // [any-thread]
    interrupted_.store(true, std::memory_order_relaxed);
    interrupt_.raise();
  }

  /// The ABI's finish. `local`: never waits. `network`: waits for the peer's acknowledgement of the last byte, or for
  /// its own end. No poll event tells of an acknowledgement, so an event loop should also call again on a timer.
  /// [owner]
  ferry_status finish(std::int64_t deadline_ns) noexcept;

  /// Makes the coming close cut a `network` connection with a reset; `local` ones have none to send. [owner]
  void reset_on_close() noexcept;

  /// ferry.splice/1's receive: moves what came into `pipe`. Ends the naps. [reader]
  std::int64_t receive_into(int pipe, std::uint64_t size) noexcept;

  /// ferry.splice/1's send: moves what is in `pipe` to the peer. Ends the naps. [writer]
  std::int64_t send_from(int pipe, std::uint64_t size) noexcept;

  /// From now on the socket has O_NONBLOCK, and no later call naps: for system calls that have nothing like
  /// MSG_DONTWAIT. Costs next to nothing when repeated. [any-thread]
  void end_naps() noexcept;

  /// Runs `call`, any non-blocking system call that receives (returns ssize_t, sets errno), as `read` does: sleeps on
  /// EAGAIN, repeats, maps errors. 0 from the call is the end of the stream. Where `read` or `write` are used as well,
  /// whose naps clear O_NONBLOCK, the call says MSG_DONTWAIT, or `end_naps` came before. [reader]
  template <class Call>
  std::int64_t read_with(std::int64_t deadline_ns, Call&& call) noexcept;

  /// The same for a call that sends, as `write` does; 0 from the call is returned as 0. [writer]
  template <class Call>
  std::int64_t write_with(std::int64_t deadline_ns, Call&& call) noexcept;

 private:
  enum class Writer : std::uint8_t { idle, sending, napping, reset };
  enum class Nap : std::uint8_t { unprepared, possible, impossible };

  bool may_nap(std::int64_t deadline_ns, std::int64_t longest_ns) noexcept;
  bool prepare_naps() noexcept;
  bool peer_is_gone() const noexcept;

  ferry_status wait(short events, std::int64_t deadline_ns) noexcept {
    return wait_ready(fd(), events, deadline_ns, interrupt_);
  }
  std::int64_t end_or_reset() noexcept;
  std::int64_t read_failure(int error) noexcept;
  std::int64_t write_failure(int error) noexcept;
  ferry_status discard_input(bool& ended) noexcept;

  UniqueFd socket_;
  Interrupt interrupt_;
  const Kind kind_;
  bool reader_met_reset_ = false;  // the reader's own
  bool write_shut_ = false;        // the writer's own
  std::atomic<Nap> nap_{Nap::unprepared};
  std::mutex nap_change_;                 // of nap_ and of the socket's O_NONBLOCK, which `possible` alone lacks
  std::uint64_t nap_bytes_ = 0;           // of one send, the writer's own
  std::atomic<bool> interrupted_{false};  // keeps later calls from a nap
  std::atomic<Writer> writer_{Writer::idle};
};

template <class Call>
std::int64_t StreamSocket::read_with(std::int64_t deadline_ns, Call&& call) noexcept {
  for (;;) {
    const ssize_t received = call();
    if (received > 0) [[likely]]
      return received;
    if (received == 0) return end_or_reset();
    if (errno == EAGAIN) {
      if (const ferry_status status = wait(POLLIN, deadline_ns); status != FERRY_OK) return status;
    } else if (errno != EINTR) {
      return read_failure(errno);
    }
  }
}

template <class Call>
std::int64_t StreamSocket::write_with(std::int64_t deadline_ns, Call&& call) noexcept {
  for (;;) {
    // `sending` is visible to a reader whom this very call leaves with an end of stream: both went through the
    // kernel's lock of the socket, the call before the reader. See end_or_reset.
    if (writer_.load(std::memory_order_relaxed) != Writer::reset) {
      writer_.store(Writer::sending, std::memory_order_relaxed);
    }
    const ssize_t sent = call();
    const int error = sent < 0 ? errno : 0;
    if (error == 0 || error == EAGAIN || error == EINTR) [[likely]] {
      if (writer_.load(std::memory_order_relaxed) != Writer::reset) {
        writer_.store(Writer::idle, std::memory_order_relaxed);
      }
      if (error == 0) return sent;
      if (error == EINTR) continue;
      if (const ferry_status status = wait(POLLOUT, deadline_ns); status != FERRY_OK) return status;
    } else {
      return write_failure(error);
    }
  }
}

}  // namespace ferry::plugin

// Wakes the other process out of its event loop, and tells when that process has gone.
//
// A connected stream socket on which a byte is sent for each wake-up: one descriptor is what the loop polls, and it
// becomes readable when the other process ends, however it ends. An eventfd would need an epoll around it and the
// control socket for that, and it is not safe towards a hostile peer: both processes share its counter and its
// O_NONBLOCK flag, so the peer can fill the one, clear the other, and block whoever signals. MSG_DONTWAIT is the
// caller's own. docs/decisions/0010 has the figures.
#pragma once

#include <cstdint>
#include <utility>

#include "ferry/abi.h"
#include "ferry/sdk/interrupt.hpp"
#include "ferry/sdk/unique_fd.hpp"

namespace ferry::shm_spsc {

/// True when the other end of a connected socket has gone, whatever is still to be read. Never blocks.
bool hung_up(int socket) noexcept;

/// One end; its destructor ends the socket for both processes, even where a fork has left copies of it. raise() and
/// drain() may run concurrently with one another.
class SignalSocket {
 public:
  explicit SignalSocket(plugin::UniqueFd socket) noexcept : socket_(std::move(socket)) {}
  SignalSocket(SignalSocket&&) noexcept = default;
  SignalSocket& operator=(SignalSocket&&) = delete;
  ~SignalSocket();

  int fd() const noexcept { return socket_.get(); }
  /// For pollable().
  std::int64_t handle() const noexcept { return fd(); }
  /// Makes the other end readable. When the socket is full it is readable already. Never blocks.
  void raise() noexcept;
  /// The other process's end is raised until it is drained, and then again.
  static constexpr bool stays_raised = true;
  /// Takes what was raised at this end. False: the other process has gone. Never blocks.
  bool drain() noexcept;
  /// Sleeps until there is something to drain. As plugin::wait_ready.
  ferry_status sleep(std::int64_t deadline_ns, plugin::Interrupt& interrupt) noexcept;
  /// True when the other process has gone. Never blocks.
  bool peer_gone() const noexcept { return hung_up(fd()); }

 private:
  plugin::UniqueFd socket_;
};

}  // namespace ferry::shm_spsc

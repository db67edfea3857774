// Taking connections from a listening Winsock socket.
#pragma once

#include <cstdint>

#include "ferry/abi.h"
#include "ferry/sdk/handle_wait.hpp"
#include "ferry/sdk/interrupt.hpp"
#include "ferry/sdk/unique_handle.hpp"

namespace ferry::plugin {

/// Members are the ABI's listener operations and carry their thread tags; a plugin's listener forwards to them.
///
/// The system sets the event when a client comes, once for each accept. So the event is reset before accept, and never
/// after; and accept is called only once the event is set: else Wine 8 can tell once more of a client that was just
/// taken, and after the call in vain that follows it tells of no other.
class SocketAcceptor {
 public:
  /// Takes a socket that listens. Throws Failure(NO_RESOURCES).
  explicit SocketAcceptor(UniqueSocket socket);

  SOCKET socket() const noexcept { return socket_.get(); }
  /// A connected socket for overlapped operations that child processes do not inherit, or none and why. Throws Failure
  /// when the listener itself fails. [acceptor]
  UniqueSocket accept(std::int64_t deadline_ns, ferry_status& why_not);
  std::int32_t arm() noexcept;                                // [acceptor]
  ferry_status pollable(ferry_pollable& out) const noexcept;  // [any-thread]
  void interrupt() noexcept { interrupt_.raise(); }           // [any-thread]

 private:
  const UniqueSocket socket_;
  const UniqueHandle event_ = make_event();
  Interrupt interrupt_;
};

/// A fresh stream socket for overlapped operations that child processes do not inherit. Throws Failure.
UniqueSocket open_stream_socket(int address_family, int protocol);

/// Connects a fresh socket. Returns FERRY_OK, WOULD_BLOCK, TIMED_OUT, INTERRUPTED, IO; throws Failure when the system
/// refuses. With FERRY_NO_WAIT nothing is tried. Blocks until the deadline.
ferry_status connect_socket(SOCKET socket, const sockaddr* to, int size, std::int64_t deadline_ns,
                            const ferry_cancel* cancel);

}  // namespace ferry::plugin

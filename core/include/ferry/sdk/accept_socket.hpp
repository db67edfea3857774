// Taking connections from a listening socket.
#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "ferry/abi.h"
#include "ferry/sdk/interrupt.hpp"
#include "ferry/sdk/unique_fd.hpp"

namespace ferry::plugin {

/// The peer's address as accept(2) gives it.
struct PeerAddress {
  sockaddr_storage storage;
  socklen_t size;
};

/// Takes one connection of the non-blocking `listening` socket into `out`, non-blocking and close-on-exec, and its
/// address into `peer` unless null. A client that gave up while it was queued is skipped. Returns FERRY_OK, or
/// WOULD_BLOCK, TIMED_OUT, INTERRUPTED, CLOSED, IO, or NO_RESOURCES when the process or system is out of descriptors
/// or memory: the client stays queued, so the socket stays readable, and the caller must pause lest it spin.
/// Blocks until the deadline. [acceptor]
ferry_status accept_socket(int listening, Interrupt& interrupt, std::int64_t deadline_ns, UniqueFd& out,
                           PeerAddress* peer = nullptr) noexcept;

}  // namespace ferry::plugin

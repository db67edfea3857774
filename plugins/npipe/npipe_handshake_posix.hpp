// How a client and a listener come to share two FIFOs that nobody else has.
//
//   client                                            listener
//   makes <id>.down and <id>.up, opens both
//   writes its request into the rendezvous FIFO   →
//                                                     opens <id>.up for reading, <id>.down for writing
//                                                     removes both names
//                                                 ←   writes the answer into `down`
//   reads the answer: connected
//
// Neither side can hang in open(2): the client reads both of its FIFOs before the listener opens them, and every open
// is non-blocking. A client that is slow, stopped or dead costs the listener one request of 32 bytes in the rendezvous
// FIFO and nothing else, which is why there is no state of a client between its request and its connection.
//
// Rejected: to be connected as soon as the request is written, as on a Unix socket. What a client wrote would be lost
// if it closed before the listener has opened its FIFO, so every later call would have to know whether it has.
#pragma once

#include <cstdint>

#include "ferry/abi.h"
#include "ferry/sdk/unique_fd.hpp"
#include "npipe_place_posix.hpp"
#include "npipe_request_posix.hpp"

namespace ferry::npipe {

/// A connection's two FIFOs, each open one way and non-blocking. Move-only.
struct FifoPair {
  plugin::UniqueFd in;
  plugin::UniqueFd out;
  plugin::UniqueFd own_reader;  ///< of `out`: for as long as it is open, writing raises no SIGPIPE
  std::int64_t out_bytes = 0;   ///< what `out` holds, see resize_fifo
};

/// Connects to the listener at `place`; `pipe_bytes` is for the client's outgoing FIFO. Returns FERRY_OK, WOULD_BLOCK,
/// TIMED_OUT or INTERRUPTED (by `cancel`), or throws Failure: NOT_FOUND, REFUSED, PERMISSION, RESET, NO_RESOURCES …
/// Leaves no name behind. Blocks until the deadline.
ferry_status connect_pair(const Place& place, std::int64_t pipe_bytes, std::int64_t deadline_ns,
                          const ferry_cancel* cancel, FifoPair& out);

/// What became of a request.
enum class Taken : std::uint8_t {
  yes,
  client_gone,   ///< it gave up, or died
  not_ours,      ///< what stands under the request's name was not made by a client that keeps to the rules
  no_resources,  ///< out of descriptors: the request is to be tried again
};

/// Opens the FIFOs that a request names in the directory `clients`, removes their names and answers. Does not block.
Taken take_pair(int clients, const PairId& id, std::int64_t pipe_bytes, FifoPair& out);

}  // namespace ferry::npipe

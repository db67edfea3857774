// What some transports can do beside one stream: more streams, and datagrams, to the same peer.
//
// All of them throw Error(unsupported) where the transport cannot. See ferry.streams/1 and ferry.datagrams/1 in abi.h.
#pragma once

#include <cstdint>
#include <optional>

#include "ferry/connection.hpp"

namespace ferry {

/// Whether the transport of `connection` has more streams to offer.
bool has_streams(const Connection& connection) noexcept;
/// Opens one more stream to the same peer. The peers stay connected until the last handle is closed. Throws Error
/// (timed_out, interrupted, reset, …). [writer]
Connection open_stream(Connection& connection, Deadline deadline = Deadline::never());
/// Gives the streams that the peer opens, for accept or a reactor; the peer cannot open any before. Its accept throws
/// Error(closed) once the peers are not connected any more. [any-thread]
Listener listen_for_streams(Connection& connection);
/// Ends our direction at once: the peer's reads are reset, and it can ask for `code` (below 2^62). [writer]
[[nodiscard]] Status reset_stream(Connection& connection, std::uint64_t code);
/// Asks the peer to send no more: its writes are reset, and it can ask for `code`. Later reads are closed. [reader]
[[nodiscard]] Status stop_stream(Connection& connection, std::uint64_t code);
/// The code that the peer gave when it reset what we read or stopped what we write. [any-thread]
std::optional<std::uint64_t> peer_code(const Connection& connection, ferry_interest direction) noexcept;

/// Gives the peer's datagrams and ours, as a connection of kind FERRY_RECORDS: messages that may be lost, come twice or
/// overtake each other. [any-thread]
Connection open_datagrams(Connection& connection);
/// The largest datagram that can be sent now; 0 when the peer takes none. [any-thread]
std::uint64_t max_datagram(const Connection& connection) noexcept;

}  // namespace ferry

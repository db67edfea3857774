// Opening a connection to the first of several addresses that answers ("Happy Eyeballs", RFC 8305).
//
// Attempts start in the order of interleave(), each one `attempt_delay_ms` after the one before or as soon as that has
// failed; they run on in parallel and the first that is established wins. The losers are closed. All of it is one
// thread and one poll set: nothing outlives the call.
#pragma once

#include <cstdint>
#include <span>

#include "ferry/plugin.hpp"
#include "ferry/sdk/resolve.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "tcp_interleave.hpp"
#include "tcp_options.hpp"

namespace ferry::tcp {

using plugin::SocketAddress;

/// Connection Attempt Delay, the recommended value of RFC 8305, section 5.
inline constexpr std::int64_t attempt_delay_ms = 250;

/// A fresh non-blocking close-on-exec stream socket, Multipath TCP where the settings say so, with no option applied.
/// Throws plugin::Failure: NO_RESOURCES, UNSUPPORTED (says what this kernel lacks), IO.
plugin::UniqueFd open_socket(int address_family, const Settings& settings);

struct Connected {
  plugin::UniqueFd socket;
  SocketAddress peer;
};

/// A connected socket to one of `candidates` (at least one). Blocks until the deadline or until `cancel` is readable.
/// With FERRY_NO_WAIT only the first is tried, and only if it is local, where the kernel finishes a
/// handshake before connect returns. Throws plugin::Failure, listing each attempt with its reason: REFUSED,
/// UNREACHABLE, TIMED_OUT, WOULD_BLOCK, INTERRUPTED, PERMISSION, NO_RESOURCES, UNSUPPORTED, IO. Any thread.
Connected connect_first(std::span<const SocketAddress> candidates, const Settings& settings, std::int64_t deadline_ns,
                        const ferry_cancel* cancel);

}  // namespace ferry::tcp

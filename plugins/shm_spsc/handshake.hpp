// Making a connection out of a Unix socket that has just been connected: offer.hpp says what is exchanged.
#pragma once

#include <cstdint>
#include <optional>

#include "ferry/abi.h"
#include "ferry/sdk/unique_fd.hpp"
#include "link.hpp"
#include "offer.hpp"

namespace ferry::shm_spsc {

/// The listener's part: makes the segment and hands it to the client of `socket`, which becomes the link's `room`.
/// Empty when the client has gone meanwhile. Throws Failure(NO_RESOURCES), having told the client. Does not block.
std::optional<Link> offer_link(plugin::UniqueFd socket, std::uint64_t ring, const PageOptions& pages);

/// Tells the client of `socket` why it is not served. Does not block.
void turn_away(int socket, Verdict verdict) noexcept;

/// The client's part: waits for the listener to accept. Returns FERRY_OK with a value in `out`, or WOULD_BLOCK,
/// TIMED_OUT, INTERRUPTED; throws Failure: PERMISSION, NO_RESOURCES, RESET, PROTOCOL, UNSUPPORTED, IO. Blocks until the
/// deadline.
ferry_status await_link(plugin::UniqueFd socket, const PageOptions& pages, std::int64_t deadline_ns,
                        const ferry_cancel* cancel, std::optional<Link>& out);

}  // namespace ferry::shm_spsc

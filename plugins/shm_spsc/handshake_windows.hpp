// Making a connection out of a pipe that has just been connected: offer.hpp says what is exchanged, and 16 bytes
// follow, of which both sides make the names of the memory and the events.
#pragma once

#include <cstdint>
#include <optional>

#include "ferry/abi.h"
#include "ferry/sdk/security_descriptor.hpp"
#include "ferry/sdk/unique_handle.hpp"
#include "link.hpp"
#include "offer.hpp"

namespace ferry::shm_spsc {

/// The listener's part: makes what is shared, open to whom `security` says, and tells the client of `pipe`. Empty when
/// the client has gone meanwhile. Throws Failure(NO_RESOURCES), having told the client. Does not block.
std::optional<Link> offer_link(plugin::UniqueHandle pipe, std::uint64_t ring, const PageOptions& pages,
                               const plugin::SecurityDescriptor& security);

/// The client's part: waits for the listener to accept. Returns FERRY_OK with a value in `out`, or WOULD_BLOCK,
/// TIMED_OUT, INTERRUPTED; throws Failure: PERMISSION, NO_RESOURCES, RESET, PROTOCOL, UNSUPPORTED, IO. Blocks until the
/// deadline.
ferry_status await_link(plugin::UniqueHandle pipe, const PageOptions& pages, std::int64_t deadline_ns,
                        const ferry_cancel* cancel, std::optional<Link>& out);

}  // namespace ferry::shm_spsc

// What the system lets one process have.
#pragma once

namespace ferry::host {

/// Raises the limit of open descriptors to the hard limit: a server's clients are bounded by max_connections, not by a
/// soft limit meant for programs that use select(2). Does nothing where it is refused.
void raise_descriptor_limit() noexcept;

}  // namespace ferry::host

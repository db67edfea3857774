// A look at the loop's own descriptor, which libuv offers no call for.
#pragma once

namespace ferry {

/// True when the loop's poll would return at once (or cannot be asked). Does not block.
bool loop_has_events(int backend_fd) noexcept;

}  // namespace ferry

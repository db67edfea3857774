// A look at the loop's own events, which libuv offers no call for.
#pragma once

#include <uv.h>

namespace ferry {

/// True when the loop's poll would return at once (or cannot be asked). Does not block.
bool loop_has_events(const uv_loop_t* loop) noexcept;

}  // namespace ferry

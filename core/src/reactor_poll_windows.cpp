#include "reactor_poll.hpp"

namespace ferry {

// A completion port is signalled while a packet is queued, and waiting on it takes none out.
bool loop_has_events(const uv_loop_t* loop) noexcept { return ::WaitForSingleObject(loop->iocp, 0) != WAIT_TIMEOUT; }

}  // namespace ferry

// Tells, on a libuv loop, when a connection can be read or written.
//
// It is the loop's half of the ABI's try-arm-wait: code that moves bytes itself (the relay's pump) tries an operation,
// and when that would block asks here to be called once it would not. Level-triggered polling stays registered between
// two requests for the same direction, so a busy connection costs no epoll_ctl per turn.
#pragma once

#include <functional>
#include <memory>

#include "ferry/abi.h"

struct uv_loop_s;

namespace ferry {

/// Loop thread only. Destroying it stops every call; it may be destroyed inside its own handler, and must be before the
/// connection is closed, because the plugin's handle is polled until then.
class Readiness {
 public:
  /// Called with FERRY_READ or FERRY_WRITE, once per want(). Also called when the connection failed: the next
  /// operation then says why.
  using Handler = std::function<void(ferry_interest)>;

  /// Does not own `connection`. Throws Error(unsupported) when the transport has nothing to poll.
  Readiness(uv_loop_s* loop, ferry_connection* connection, Handler handler);
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;
  ~Readiness();

  /// Arms `interest` (exactly one of FERRY_READ, FERRY_WRITE). The handler is called in a later loop turn, never from
  /// inside this call. Idempotent until then.
  void want(ferry_interest interest);

 private:
  struct State;
  State* state_;  ///< freed by libuv's close callback, which uses its memory until then
};

}  // namespace ferry

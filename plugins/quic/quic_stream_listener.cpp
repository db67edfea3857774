#include "quic_stream_listener.hpp"

#include <utility>

#include "ferry/sdk/poll_wait.hpp"
#include "quic_wait.hpp"

namespace ferry::quic {

QuicStreamListener::~QuicStreamListener() {
  if (looped_) engine_.sleep_ends();
  const Engine::Inside inside(engine_);
  session_->stop_listening_for_streams(*queue_);
}

std::unique_ptr<QuicConnection> QuicStreamListener::accept(std::int64_t deadline_ns, ferry_status& why_not) {
  for (;;) {
    if (auto stream = queue_->take()) return std::make_unique<QuicConnection>(engine_, std::move(stream));
    why_not = queue_->has_ended()                            ? FERRY_CLOSED
              : interrupted_.load(std::memory_order_seq_cst) ? FERRY_INTERRUPTED
                                                             : plugin::out_of_time(deadline_ns);
    if (why_not == FERRY_CLOSED || why_not == FERRY_INTERRUPTED || plugin::deadline_passed(deadline_ns)) return nullptr;
    wait_once(engine_, queue_->wakeup(), deadline_ns,
              [this] { return queue_->is_ready() || interrupted_.load(std::memory_order_seq_cst); });
  }
}

std::int32_t QuicStreamListener::arm() noexcept {
  if (queue_->is_ready()) return FERRY_READY;
  if (!std::exchange(looped_, true)) engine_.sleep_begins();
  if (!queue_->wakeup().arm()) return FERRY_NO_RESOURCES;
  if (!queue_->is_ready()) return FERRY_ARMED;
  queue_->wakeup().disarm();
  return FERRY_READY;
}

ferry_status QuicStreamListener::pollable(ferry_pollable& out) noexcept {
  const int fd = queue_->wakeup().descriptor();
  if (fd < 0) return FERRY_NO_RESOURCES;
  out.handle = fd;
  out.events = FERRY_POLL_IN;
  return FERRY_OK;
}

void QuicStreamListener::interrupt() noexcept {
  interrupted_.store(true, std::memory_order_seq_cst);  // pairs with accept
  queue_->wakeup().notify();
}

}  // namespace ferry::quic

// Streams that the peer opened and nobody has accepted yet, between the engine and whoever accepts.
#pragma once

#include <deque>
#include <memory>
#include <mutex>

#include "quic_wakeup.hpp"

namespace ferry::quic {

class Stream;

/// Any thread, but one accepts at a time. Bounded by the number of streams that the peer may open.
class StreamQueue {
 public:
  void push(std::shared_ptr<Stream> stream) {
    {
      const std::scoped_lock lock(mutex_);
      streams_.push_back(std::move(stream));
    }
    wakeup_.notify();
  }
  /// The connection is over: no more will come.
  void end() {
    {
      const std::scoped_lock lock(mutex_);
      ended_ = true;
    }
    wakeup_.notify();
  }
  std::shared_ptr<Stream> take() {
    const std::scoped_lock lock(mutex_);
    if (streams_.empty()) return nullptr;
    std::shared_ptr<Stream> out = std::move(streams_.front());
    streams_.pop_front();
    return out;
  }
  /// There is a stream to take, or there will be none.
  bool is_ready() {
    const std::scoped_lock lock(mutex_);
    return ended_ || !streams_.empty();
  }
  bool has_ended() {
    const std::scoped_lock lock(mutex_);
    return ended_ && streams_.empty();
  }
  Wakeup& wakeup() noexcept { return wakeup_; }

 private:
  Wakeup wakeup_;
  std::mutex mutex_;
  std::deque<std::shared_ptr<Stream>> streams_;
  bool ended_ = false;
};

}  // namespace ferry::quic

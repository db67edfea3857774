// Connections and a listener in memory whose events are signalled only while somebody has armed them, as a
// shared-memory transport would do: an event loop that forgets to arm, or sleeps after READY, hangs on them. Writes are
// counted.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "ferry/connection.hpp"
#include "ferry/plugin.hpp"
#include "support/armed_event.hpp"

namespace ferry::test {

/// What both ends share. Every member is guarded by the mutex.
struct ArmedLink {
  struct Direction {
    std::string bytes;
    std::size_t capacity = std::size_t{1} << 20;
    bool ended = false;        // by the writer
    bool reader_gone = false;  // writes are refused
    bool finishing = false;    // the writer waits for the reader to have everything
    bool reset = false;
    std::uint64_t write_calls = 0;
    std::uint64_t read_calls = 0;
    std::uint64_t largest_fill = 0;
  };
  std::mutex mutex;
  Direction directions[2];
  ArmedEvent readers[2];  // of the end with that index
  ArmedEvent writers[2];

  std::uint64_t write_calls(int end) {
    const std::lock_guard lock(mutex);
    return directions[end].write_calls;
  }
};

class ArmedConnection : public plugin::Connection<ArmedConnection> {
 public:
  ArmedConnection(std::shared_ptr<ArmedLink> link, int end) : link_(std::move(link)), end_(end) {}
  ~ArmedConnection() {
    const std::lock_guard lock(link_->mutex);
    out().ended = true;
    in().reader_gone = true;
    wake_everybody();
  }

  std::int64_t read(void* data, std::uint64_t size, std::int64_t) {
    const std::lock_guard lock(link_->mutex);
    ++in().read_calls;
    if (in().reset) return FERRY_RESET;
    if (in().bytes.empty()) return in().ended ? FERRY_END : FERRY_WOULD_BLOCK;
    const std::size_t count = std::min<std::size_t>(size, in().bytes.size());
    std::memcpy(data, in().bytes.data(), count);
    in().bytes.erase(0, count);
    link_->writers[peer()].signal();
    if (in().finishing && in().bytes.empty()) link_->readers[peer()].signal();
    return static_cast<std::int64_t>(count);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t, std::int64_t) {
    const std::lock_guard lock(link_->mutex);
    ++out().write_calls;
    if (out().reset || out().reader_gone) return FERRY_RESET;
    if (out().ended) return FERRY_CLOSED;
    std::size_t written = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::size_t part = std::min<std::size_t>(pieces[i].size, out().capacity - out().bytes.size());
      out().bytes.append(static_cast<const char*>(pieces[i].data), part);
      written += part;
    }
    if (written == 0) return FERRY_WOULD_BLOCK;
    out().largest_fill = std::max<std::uint64_t>(out().largest_fill, out().bytes.size());
    link_->readers[peer()].signal();
    return static_cast<std::int64_t>(written);
  }
  std::int32_t arm(ferry_interest interest) {
    const std::lock_guard lock(link_->mutex);
    if (interest == FERRY_WRITE) {
      return link_->writers[end_].arm(out().bytes.size() < out().capacity || out().reset || out().reader_gone);
    }
    const bool ready =
        in().reset || (out().finishing ? out().bytes.empty() || out().reader_gone : !in().bytes.empty() || in().ended);
    return link_->readers[end_].arm(ready);
  }
  ferry_status pollable(ferry_interest interest, ferry_pollable& result) {
    result.handle = (interest == FERRY_READ ? link_->readers : link_->writers)[end_].handle();
    result.events = FERRY_POLL_IN;
    return FERRY_OK;
  }
  ferry_status shutdown_write() {
    const std::lock_guard lock(link_->mutex);
    out().ended = true;
    link_->readers[peer()].signal();
    return FERRY_OK;
  }
  void interrupt() {}
  ferry_status finish(std::int64_t deadline) {
    const std::lock_guard lock(link_->mutex);
    if (out().reset) return FERRY_RESET;
    out().ended = out().finishing = true;
    in().bytes.clear();
    wake_everybody();
    if (out().bytes.empty()) return FERRY_OK;
    if (out().reader_gone) return FERRY_RESET;
    return deadline == FERRY_NO_WAIT ? FERRY_WOULD_BLOCK : FERRY_TIMED_OUT;
  }
  void abort_now() {
    const std::lock_guard lock(link_->mutex);
    for (ArmedLink::Direction& direction : link_->directions) {
      direction.reset = true;
      direction.bytes.clear();
    }
    wake_everybody();
  }
  void describe(ferry_connection_info&) {}

 private:
  int peer() const { return 1 - end_; }
  ArmedLink::Direction& out() { return link_->directions[end_]; }
  ArmedLink::Direction& in() { return link_->directions[peer()]; }
  void wake_everybody() {
    for (int end : {0, 1}) {
      link_->readers[end].signal();
      link_->writers[end].signal();
    }
  }

  std::shared_ptr<ArmedLink> link_;
  int end_;
};

/// Two connected ends and what they share; end 0 first.
struct ArmedPair {
  explicit ArmedPair(std::size_t capacity = std::size_t{1} << 20, ferry::Connection::Settings settings = {}) {
    for (auto& direction : link->directions) direction.capacity = capacity;
    first = ferry::Connection((new ArmedConnection(link, 0))->abi(), nullptr, settings, "armed:0");
    second = ferry::Connection((new ArmedConnection(link, 1))->abi(), nullptr, settings, "armed:1");
  }
  std::shared_ptr<ArmedLink> link = std::make_shared<ArmedLink>();
  ferry::Connection first;
  ferry::Connection second;
};

/// A listener that yields what the test put in its queue: connections, and failures in between.
class ArmedListener : public plugin::Listener<ArmedListener> {
 public:
  struct Queue {
    std::mutex mutex;
    std::deque<std::pair<ferry_status, std::unique_ptr<ArmedConnection>>> waiting;
    std::int32_t accepts = 0;
    ArmedEvent event;
    bool closed = false;

    void push(ferry_status status, std::unique_ptr<ArmedConnection> connection = nullptr) {
      const std::lock_guard lock(mutex);
      waiting.emplace_back(status, std::move(connection));
      event.signal();
    }
    /// A client whose end is returned.
    ferry::Connection dial(ferry::Connection::Settings settings = {}) {
      auto link = std::make_shared<ArmedLink>();
      push(FERRY_OK, std::make_unique<ArmedConnection>(link, 1));
      return ferry::Connection((new ArmedConnection(link, 0))->abi(), nullptr, settings, "armed:0");
    }
  };

  explicit ArmedListener(std::shared_ptr<Queue> queue) : queue_(std::move(queue)) {}
  ~ArmedListener() { queue_->closed = true; }

  std::unique_ptr<ArmedConnection> accept(std::int64_t, ferry_status& why_not) {
    const std::lock_guard lock(queue_->mutex);
    ++queue_->accepts;
    why_not = FERRY_WOULD_BLOCK;
    if (queue_->waiting.empty()) return nullptr;
    auto [status, connection] = std::move(queue_->waiting.front());
    queue_->waiting.pop_front();
    why_not = status;
    return std::move(connection);
  }
  std::int32_t arm() {
    const std::lock_guard lock(queue_->mutex);
    return queue_->event.arm(!queue_->waiting.empty());
  }
  ferry_status pollable(ferry_pollable& result) {
    result.handle = queue_->event.handle();
    result.events = FERRY_POLL_IN;
    return FERRY_OK;
  }
  void interrupt() {}
  std::string local_address() { return "listener"; }

 private:
  std::shared_ptr<Queue> queue_;
};

inline ferry::Listener armed_listener(std::shared_ptr<ArmedListener::Queue> queue) {
  return ferry::Listener((new ArmedListener(std::move(queue)))->abi(), nullptr, {}, "armed");
}

}  // namespace ferry::test

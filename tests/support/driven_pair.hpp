// Connections of a transport whose bytes move only while somebody runs its engine (ferry.drive/1): its own thread, or a
// driver. Nothing is signalled but to who has armed, so a loop that forgets to arm an engine, sleeps after READY, or
// misses what drive lists, hangs on it.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ferry/connection.hpp"
#include "ferry/plugin.hpp"
#include "support/armed_event.hpp"

namespace ferry::test {

class DrivenEngine : public std::enable_shared_from_this<DrivenEngine> {
 public:
  /// One end of a connection. Guarded by the engine's mutex.
  struct End {
    static constexpr std::size_t window = 64u << 10;  // sent and not yet reported as read
    std::weak_ptr<End> peer;
    std::string in;
    bool ended = false;
    std::size_t under_way = 0;
    std::uint64_t token = 0;
    std::uint64_t adopted_by = 0;  // which taking; 0: none
    ArmedEvent readable, writable;
    bool wants_read = false, wants_write = false;
  };

  DrivenEngine() : thread_([this] { run_alone(); }) {}
  ~DrivenEngine() {
    {
      const std::lock_guard lock(mutex);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  /// Every packet from now on takes so long; its deadline is all that tells of it.
  void delay(std::int64_t ns) {
    const std::lock_guard lock(mutex);
    delay_ns_ = ns;
  }
  bool has_driver() {
    const std::lock_guard lock(mutex);
    return driven_;
  }
  /// Whether it counts on its driver to come when it signals.
  bool driver_sleeps() {
    const std::lock_guard lock(mutex);
    return driver_sleeps_;
  }
  std::uint64_t packets_by_driver() {
    const std::lock_guard lock(mutex);
    return by_driver_;
  }
  std::uint64_t packets_alone() {
    const std::lock_guard lock(mutex);
    return alone_;
  }

  static DrivenEngine& from(ferry_engine* engine) { return *reinterpret_cast<DrivenEngine*>(engine); }
  ferry_engine* abi() { return reinterpret_cast<ferry_engine*>(this); }

  /// With the mutex held: something for the other end. No bytes and no end: so much was read.
  void send(std::shared_ptr<End> to, std::string bytes, std::size_t credit, bool end) {
    wire_.push_back({std::move(to), std::move(bytes), credit, end, delay_ns_ == 0 ? 0 : now() + delay_ns_});
    if (driven_ && delay_ns_ == 0) event_.signal();
    if (!driven_) changed_.notify_all();
  }

  ferry_status take(ferry_pollable& out) {
    const std::lock_guard lock(mutex);
    if (driven_) return FERRY_WOULD_BLOCK;
    driven_ = true;
    ++takings_;
    out.handle = event_.handle();
    out.events = FERRY_POLL_IN;
    return FERRY_OK;
  }
  void adopt(End& end, std::uint64_t token) {
    const std::lock_guard lock(mutex);
    end.token = token;
    end.adopted_by = takings_;
  }
  std::uint32_t drive(std::uint32_t budget, ferry_driven* driven, std::uint32_t capacity) {
    const std::lock_guard lock(mutex);
    driver_sleeps_ = false;
    List list{driven, capacity, 0};
    for (std::uint32_t i = 0; i < budget && deliver_first(&list); ++i) ++by_driver_;
    return list.count;
  }
  std::int32_t arm(std::int64_t& deadline_ns) {
    const std::lock_guard lock(mutex);
    deadline_ns = wire_.empty() ? FERRY_FOREVER : wire_.front().due_ns;
    const std::int32_t answer = event_.arm(!wire_.empty() && wire_.front().due_ns <= now());
    driver_sleeps_ = answer == FERRY_ARMED;
    return answer;
  }
  void give() {
    const std::lock_guard lock(mutex);
    driven_ = driver_sleeps_ = false;
    ++takings_;
    changed_.notify_all();
  }

  std::mutex mutex;

 private:
  struct Packet {
    std::shared_ptr<End> to;
    std::string bytes;
    std::size_t credit;
    bool end;
    std::int64_t due_ns;
  };
  struct List {
    ferry_driven* driven;
    std::uint32_t capacity;
    std::uint32_t count;
  };

  static std::int64_t now() { return monotonic_now_ns(); }

  bool deliver_first(List* list) {
    if (wire_.empty() || wire_.front().due_ns > now()) return false;
    Packet packet = std::move(wire_.front());
    wire_.pop_front();
    End& to = *packet.to;
    to.in += packet.bytes;
    to.ended |= packet.end;
    to.under_way -= packet.credit;
    if (!packet.bytes.empty() || packet.end) tell(to, FERRY_READ, list);
    if (packet.credit > 0) tell(to, FERRY_WRITE, list);
    return true;
  }

  void tell(End& end, ferry_interest interest, List* list) {
    bool& wanted = interest == FERRY_READ ? end.wants_read : end.wants_write;
    if (!std::exchange(wanted, false)) return;
    if (list != nullptr && end.adopted_by == takings_ && list->count < list->capacity) {
      list->driven[list->count++] = {end.token, interest, 0};
    } else {
      (interest == FERRY_READ ? end.readable : end.writable).signal();
    }
  }

  void run_alone() {
    std::unique_lock lock(mutex);
    while (!stopping_) {
      if (driven_ || wire_.empty()) {
        changed_.wait(lock);
      } else if (deliver_first(nullptr)) {
        ++alone_;
      } else {
        changed_.wait_for(lock, std::chrono::nanoseconds(wire_.front().due_ns - now()));
      }
    }
  }

  std::condition_variable changed_;
  std::deque<Packet> wire_;
  ArmedEvent event_;
  std::int64_t delay_ns_ = 0;
  std::uint64_t takings_ = 0;
  std::uint64_t by_driver_ = 0;
  std::uint64_t alone_ = 0;
  bool driven_ = false;
  bool driver_sleeps_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

class DrivenConnection : public plugin::Connection<DrivenConnection> {
 public:
  using End = DrivenEngine::End;
  DrivenConnection(std::shared_ptr<DrivenEngine> engine, std::shared_ptr<End> end)
      : engine_(std::move(engine)), end_(std::move(end)) {}
  ~DrivenConnection() { (void)shutdown_write(); }

  std::int64_t read(void* data, std::uint64_t size, std::int64_t) {
    const std::lock_guard lock(engine_->mutex);
    if (end_->in.empty()) return end_->ended ? FERRY_END : FERRY_WOULD_BLOCK;
    const std::size_t count = std::min<std::size_t>(size, end_->in.size());
    std::memcpy(data, end_->in.data(), count);
    end_->in.erase(0, count);
    if (auto peer = end_->peer.lock()) engine_->send(std::move(peer), {}, count, false);
    return static_cast<std::int64_t>(count);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t, std::int64_t) {
    const std::lock_guard lock(engine_->mutex);
    std::string bytes;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::size_t room = End::window - end_->under_way - bytes.size();
      bytes.append(static_cast<const char*>(pieces[i].data), std::min<std::size_t>(pieces[i].size, room));
    }
    const std::size_t taken = bytes.size();
    if (taken == 0) return FERRY_WOULD_BLOCK;
    end_->under_way += taken;
    if (auto peer = end_->peer.lock()) engine_->send(std::move(peer), std::move(bytes), 0, false);
    return static_cast<std::int64_t>(taken);
  }
  std::int32_t arm(ferry_interest interest) {
    const std::lock_guard lock(engine_->mutex);
    const bool reading = interest == FERRY_READ;
    const bool ready = reading ? !end_->in.empty() || end_->ended : end_->under_way < End::window;
    (reading ? end_->wants_read : end_->wants_write) = !ready;
    return (reading ? end_->readable : end_->writable).arm(ready);
  }
  ferry_status pollable(ferry_interest interest, ferry_pollable& result) {
    result.handle = (interest == FERRY_READ ? end_->readable : end_->writable).handle();
    result.events = FERRY_POLL_IN;
    return FERRY_OK;
  }
  ferry_status shutdown_write() {
    const std::lock_guard lock(engine_->mutex);
    if (std::exchange(shut_, true)) return FERRY_OK;
    if (auto peer = end_->peer.lock()) engine_->send(std::move(peer), {}, 0, true);
    return FERRY_OK;
  }
  void interrupt() {}
  ferry_status finish(std::int64_t) { return shutdown_write(); }
  void describe(ferry_connection_info&) {}

  static const void* extension(std::string_view id) noexcept {
    static constexpr ferry_drive table = {
        sizeof(ferry_drive),
        0,
        [](ferry_connection* c) noexcept { return from(c).engine_->abi(); },
        [](ferry_listener*) noexcept -> ferry_engine* { return nullptr; },
        [](ferry_engine* e, ferry_pollable* out) noexcept { return DrivenEngine::from(e).take(*out); },
        [](ferry_engine* e, ferry_connection* c, std::uint64_t token) noexcept {
          DrivenEngine::from(e).adopt(*from(c).end_, token);
        },
        [](ferry_engine* e, std::uint32_t budget, ferry_driven* driven, std::uint32_t capacity) noexcept {
          return DrivenEngine::from(e).drive(budget, driven, capacity);
        },
        [](ferry_engine* e, std::int64_t* deadline) noexcept { return DrivenEngine::from(e).arm(*deadline); },
        [](ferry_engine* e) noexcept { DrivenEngine::from(e).give(); }};
    return id == FERRY_EXT_DRIVE ? &table : nullptr;
  }

 private:
  std::shared_ptr<DrivenEngine> engine_;
  std::shared_ptr<End> end_;
  bool shut_ = false;
};

/// Two connected ends of one engine.
struct DrivenPair {
  explicit DrivenPair(const std::shared_ptr<DrivenEngine>& engine, ferry::Connection::Settings settings = {}) {
    auto one = std::make_shared<DrivenEngine::End>();
    auto other = std::make_shared<DrivenEngine::End>();
    one->peer = other;
    other->peer = one;
    first = ferry::Connection((new DrivenConnection(engine, one))->abi(), nullptr, settings, "driven:0");
    second = ferry::Connection((new DrivenConnection(engine, other))->abi(), nullptr, settings, "driven:1");
  }
  ferry::Connection first;
  ferry::Connection second;
};

}  // namespace ferry::test

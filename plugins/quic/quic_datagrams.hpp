// Datagrams of one connection (RFC 9221) on their way between the engine and the application.
//
// Each direction holds at most `limit` bytes. A writer waits for room; what arrives without room is dropped, the oldest
// or the newest, as the application chose. A lock guards both: a datagram costs a packet anyway.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <vector>

#include "ferry/abi.h"
#include "quic_wakeup.hpp"

namespace ferry::quic {

class Engine;

enum class Drop : std::uint8_t { oldest, newest };

class Datagrams {
 public:
  Datagrams(Engine& engine, std::uint64_t limit_bytes, Drop drop) noexcept
      : engine_(engine), limit_bytes_(limit_bytes), drop_(drop) {}
  Datagrams(const Datagrams&) = delete;
  Datagrams& operator=(const Datagrams&) = delete;
  ~Datagrams();

  // ---- The application's side.
  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns);
  /// Queues it; the engine must be told. FERRY_OK or why not.
  ferry_status write(std::vector<std::uint8_t> datagram, std::int64_t deadline_ns);
  std::int32_t arm(ferry_interest interest) noexcept;
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) noexcept;
  void interrupt() noexcept;

  // ---- The engine's side. Called inside the engine.
  void arrived(std::span<const std::uint8_t> datagram);
  /// The next one to send; empty: none. Valid until taken().
  std::span<const std::uint8_t> next() noexcept;
  /// The one that next() gave has left, or cannot.
  void taken() noexcept;
  /// The connection is over.
  void end(bool in_order) noexcept;
  std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

 private:
  struct Queue {
    std::deque<std::vector<std::uint8_t>> datagrams;
    std::uint64_t bytes = 0;

    void push(std::vector<std::uint8_t> datagram) {
      bytes += cost_of(datagram);
      datagrams.push_back(std::move(datagram));
    }
    void pop() noexcept {
      bytes -= cost_of(datagrams.front());
      datagrams.pop_front();
    }
  };
  /// Small ones are not free.
  static std::uint64_t cost_of(const std::vector<std::uint8_t>& datagram) noexcept { return datagram.size() + 64; }

  bool can_read();
  bool can_write();
  template <class Ready>
  ferry_status wait(Wakeup& wakeup, std::int64_t deadline_ns, Ready&& ready);

  Engine& engine_;
  const std::uint64_t limit_bytes_;
  const Drop drop_;
  Wakeup readable_;
  Wakeup writable_;
  std::atomic<bool> interrupted_{false};
  std::atomic<bool> looped_{false};  // an event loop waits on it, and counts as a sleeper
  std::atomic<std::uint64_t> dropped_{0};
  std::mutex mutex_;  // guards what follows
  Queue incoming_;
  Queue outgoing_;
  ferry_status over_ = FERRY_OK;  // FERRY_END or FERRY_RESET once it is
};

}  // namespace ferry::quic

// The reactor's turn: what happens between two sleeps of the loop.
//
//   timers   libuv's
//   idle     active while work is left over, which makes the loop poll without sleeping
//   prepare  reads connections whose last turn ended at their budget; writes what is queued; spins; arms; then sleeps
//   poll     handles that became ready are read, listeners accept, posted tasks run, transports' engines are driven
//   check    writes what those queued
//
// Queued bytes leave in `check`, and in `prepare` for what timers and left-over reads queued: both come after all
// handlers of their phase and before the loop sleeps or returns, so each connection pays one write per turn. An idle or
// async handle alone would come too early (before the poll phase) or a turn too late.
//
// Connections are armed in `prepare`, just before the sleep, and only those with traffic since the last one. A
// transport whose peer pays for waking us (shared memory) is thus not woken while we run or spin, and one on a
// level-triggered descriptor pays no system call at all.
//
// A connection that a spin has found message after message on leaves libuv's set until it is armed: as long as it is in
// there, the kernel notes each message for a poll that never comes, at the cost of the peer who sends it (a tenth of a
// round trip over a Unix socket).
#pragma once

#include <uv.h>

#include <atomic>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "ferry/connection.hpp"
#include "ferry/reactor.hpp"
#include "reactor_engine.hpp"
#include "reactor_inbox.hpp"
#include "reactor_queue.hpp"

namespace ferry {

class ConnectPool;
class ConnectionDriver;
class ListenerDriver;
class Timer;

class ReactorCore : public std::enable_shared_from_this<ReactorCore> {
 public:
  static constexpr std::size_t read_buffer_bytes = 256u << 10;  ///< what one read may take; the usual socket buffer
  static constexpr std::size_t spin_connections = 4;            ///< with more at once there is work enough not to spin
  static constexpr std::uint32_t spin_rounds = 64;  ///< messages answered out of one spin before all others are polled
  static constexpr std::uint32_t spin_look_around = 64;  ///< attempts between two looks at the other handles
  /// Sweeps between the same, and those in a row that may find nothing of a connection before it is armed.
  static constexpr std::uint32_t sweep_look_around = 16;
  static constexpr std::uint32_t vain_sweeps = 256;
  static constexpr std::uint64_t linger_check_ms = 10;  ///< between two attempts to finish a closing connection

  /// `loop` null: makes its own.
  ReactorCore(Reactor& reactor, uv_loop_t* loop);
  ReactorCore(const ReactorCore&) = delete;
  ReactorCore& operator=(const ReactorCore&) = delete;
  ~ReactorCore();
  /// Ends every connection, listener, timer and connect, and starts to close every libuv handle.
  void shut_down() noexcept;

  bool is_running() const noexcept { return !shut_down_; }
  Reactor& reactor() noexcept { return reactor_; }
  uv_loop_t* loop() noexcept { return loop_; }
  WriteChunkPool& chunks() noexcept { return chunks_; }
  SpareBlock& spare_block() noexcept { return spare_block_; }
  /// Shared by all connections: what is in it is used up within one read.
  MutableBytes read_buffer() noexcept { return {read_buffer_.get(), read_buffer_size_}; }
  void enlarge_read_buffer(std::size_t minimum);

  void run();
  void stop() noexcept;
  void post(std::function<void()> task);

  // ---- membership; the core keeps what it drives alive. Throws Error(closed) once it shuts down.
  void adopt(std::shared_ptr<ConnectionDriver> connection);
  void forget(ConnectionDriver& connection) noexcept;
  void adopt(std::shared_ptr<ListenerDriver> listener);
  void forget(ListenerDriver& listener) noexcept;
  void adopt(Timer& timer);
  void forget(Timer& timer) noexcept { timers_.erase(&timer); }
  ConnectPool& connects();
  /// Drives the engine from now on, if it is not driven yet; null when somebody else does. `table` is null where the
  /// transport has none.
  EngineDriver::Use use_engine(const ferry_drive* table, ferry_engine* engine);
  /// The loop is back from its poll. Comes before anything else of that phase, because a handler may take its time, and
  /// as long as an engine believes that its driver sleeps nobody else looks for packets.
  void wake_engines() noexcept;
  /// Keeps the loop running for what has no handle in it: a pending connect, a connection that is spun on.
  void hold() noexcept;
  void release() noexcept;

  // ---- work for the end of this turn; each connection guards that it stands in a list once
  void read_later(ConnectionDriver& connection);
  void flush_later(ConnectionDriver& connection);
  void accept_later(std::shared_ptr<ListenerDriver> listener);
  void arm_later(ConnectionDriver& connection) { to_arm_.push_back(&connection); }
  /// Calls its on_linger_tick() every linger_check_ms until it has ended.
  void linger(std::shared_ptr<ConnectionDriver> connection);

  /// Runs a handler of the user; an exception is logged and told by returning false.
  template <class Handler>
  static bool run_handler(std::string_view what, Handler&& handler) noexcept {
    try {
      handler();
      return true;
    } catch (...) {
      log_exception(what, std::current_exception());
      return false;
    }
  }
  static void log_exception(std::string_view what, const std::exception_ptr& exception) noexcept;

 private:
  struct Handles;
  using Work = std::vector<ConnectionDriver*>;

  void before_poll();
  void after_poll();
  bool work_left() const noexcept;
  void serve_left_over();
  void flush();
  void take_turns(Work& work, void (ConnectionDriver::*turn)());
  bool spin();
  bool spin_attempt();
  bool may_sweep();
  bool sweep();
  void arm(Work& work);
  void arm_engines();
  void arm_together();
  bool drive_engines();
  bool look_at_others(std::uint32_t attempts);
  void bury_dead() noexcept;
  void settle_idle() noexcept;
  void on_wake_up();
  void send_wake_up() noexcept;
  void run_posted();
  bool has_posted();
  void check_lingering();
  void require_running() const;

  Reactor& reactor_;
  uv_loop_t own_loop_{};
  uv_loop_t* loop_;
  bool owns_loop_;
  bool shut_down_ = false;
  bool stopped_ = false;
  Handles* handles_ = nullptr;  // freed by libuv's last close callback

  std::size_t read_buffer_size_ = read_buffer_bytes;
  std::unique_ptr<std::byte[]> read_buffer_;
  WriteChunkPool chunks_;
  SpareBlock spare_block_;
  std::vector<std::shared_ptr<ConnectionDriver>> connections_;
  std::vector<std::shared_ptr<ConnectionDriver>> dead_;  // told, and perhaps still in a list below
  std::vector<std::shared_ptr<ConnectionDriver>> lingering_;
  std::vector<std::shared_ptr<ListenerDriver>> listeners_;
  std::unordered_set<Timer*> timers_;
  std::vector<std::shared_ptr<ListenerDriver>> to_accept_;
  Work to_read_;
  Work to_flush_;
  Work to_arm_;
  Work arming_;                         // in arm()
  std::vector<ferry_connection*> raw_;  // in arm_together()
  std::vector<std::int32_t> answers_;   // in arm_together()
  Work batch_;                          // whose turn is now; what they schedule goes to the lists above
  std::uint32_t spin_attempts_ = 0;
  std::size_t spin_next_ = 0;  // in to_arm_: none is overlooked because another always has something
  bool spin_found_others_ = false;
  bool look_around_ = false;  // a spin ended with something found: poll, do not sleep

  std::vector<std::unique_ptr<EngineDriver>> engines_;
  std::unique_ptr<ConnectPool> connects_;
  std::size_t holds_ = 0;

  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> wake_up_due_{false};  // from post() or stop() until on_wake_up(): do not spin on
};

}  // namespace ferry

// One connection in a reactor: tries operations that do not wait, and asks the plugin's handle when they would have.
//
// Invariants
//   - on_closed is called exactly once, from the end of a turn, and nothing after it.
//   - No handler runs inside a call of the user: close(), abort(), send() and the like only note work for the turn's
//   end.
//   - The transport's object outlives every view of its memory that a handler was given: it ends after the handler.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "ferry/reactor.hpp"
#include "ferry/wait_policy.hpp"
#include "reactor_core.hpp"
#include "reactor_inbox.hpp"
#include "reactor_queue.hpp"
#include "reactor_watch.hpp"

namespace ferry {

class ConnectionDriver final : public ReactorConnection {
 public:
  static constexpr std::size_t flush_early_bytes = 64u << 10;  ///< more than this leaves before the end of the turn

  /// How often a transport may say "ready" and then not be, in a row, before others get their turn.
  static constexpr int ready_retries = 8;

  ConnectionDriver(ReactorCore& core, Connection connection, Handlers handlers, ReactorLimits limits);
  ~ConnectionDriver() override;
  /// Begins to watch; throws Error when libuv cannot wait on the plugin's handle.
  void start();

  bool write(ConstBytes bytes) override;
  bool send(ConstBytes message) override;
  bool send(const SharedBytes& message) override;
  void pause_reading() override { paused_ = true; }
  void resume_reading() override;
  void shutdown_write() override;
  void close() override;
  void abort(Status reason) override;
  std::size_t queued_bytes() const noexcept override { return queue_.size(); }
  Connection& connection() noexcept override { return connection_; }
  Reactor& reactor() noexcept override { return core_.reactor(); }

  // ---- for the core
  /// Reads what the turn's budget allows.
  void read_left_over();
  /// Writes what is queued, and tells what follows from it: room again, half-close, finish, closed.
  void end_turn();
  /// Ends without a word, when start() has failed.
  void give_up() noexcept;
  /// The transport's engine has found it ready.
  void on_driven(ferry_interest interest);
  /// Makes it safe to sleep, in two parts: the answers of many come at once where the transport has ferry.arm_many/1.
  /// False: there is nothing to arm.
  bool wants_arm();
  void armed(std::int32_t answer);
  std::int32_t arm() { return ops_->arm(raw_, FERRY_READ); }
  const ferry_arm_many* arm_many() const noexcept { return arm_many_; }
  ferry_connection* raw() const noexcept { return raw_; }
  /// One attempt of a sweep over many: as spin_read. Counts how many in a row found nothing.
  bool sweep_read();
  std::uint32_t vain_sweeps() const noexcept { return vain_sweeps_; }
  /// The reactor reads it in a spin until it arms it: the loop need not watch it. It stands in the list to be armed.
  void leave_poll();
  /// One attempt to read while the reactor spins. True: it had a result.
  bool spin_read();
  void on_linger_tick();
  WaitPolicy& wait_policy() noexcept { return wait_; }
  bool is_told() const noexcept { return phase_ == Phase::told; }
  std::size_t& index() noexcept { return index_; }

 private:
  enum class Phase : std::uint8_t {
    open,
    draining,   // close() was called: the queue leaves, input is discarded
    finishing,  // the queue has left: the transport's finish goes on
    ended,      // the transport's object is (being) given up; on_closed is due
    told        // on_closed was called
  };
  enum class Outcome : std::uint8_t { full, partial, would_block, stopped };

  // ---- input
  void on_ready(const Watch& watch, int events);
  void on_event(bool in, bool out);
  void read_turn();
  Outcome read_once(std::size_t limit, std::size_t& taken);
  Outcome read_copy(std::size_t limit, std::size_t& taken);
  Outcome read_lent(std::size_t limit, std::size_t& taken);
  Outcome discard_once(std::size_t& taken);
  Outcome outcome_of(Status failure);
  void deliver(ConstBytes& bytes, bool keep_rest);
  void on_input_end();
  bool wants_input() const noexcept;
  bool delivers() const noexcept { return phase_ == Phase::open && !paused_; }
  void note_traffic();
  void rejoin_poll() noexcept;

  // ---- output
  bool accepts_writes() const noexcept { return phase_ == Phase::open && !write_shut_; }
  struct Framed {  // one message in its three pieces
    ConstBytes header, payload, padding;
    const std::shared_ptr<const void>* owner = nullptr;  // of the payload; null: it must be copied
    std::size_t size() const noexcept { return header.size() + payload.size() + padding.size(); }
  };
  bool send_framed(ConstBytes payload, const std::shared_ptr<const void>* owner);
  bool queue(const Framed& message);
  void keep(const Framed& message);
  bool send_record(ConstBytes record);
  bool below_high_watermark();
  bool write_through(const Framed& message);
  bool flush();
  bool flush_record();
  bool wait_for_room();
  void fail(Status status);
  void half_close();
  void finish();

  // ---- life
  template <class Handler>
  void call(const char* what, Handler& handler);
  void end(Status status, bool graceful) noexcept;
  void release_transport() noexcept;
  void tell();
  void update_interest();
  void schedule_flush();
  void schedule_read();

  ReactorCore& core_;
  Connection connection_;
  ferry_connection* raw_;
  const ferry_connection_ops* ops_;
  const ferry_lend* lend_ = nullptr;
  const ferry_arm_many* arm_many_ = nullptr;
  Handlers handlers_;
  ReactorLimits limits_;
  WaitPolicy wait_;
  FrameFormat format_;
  Inbox inbox_;
  WriteQueue queue_;
  // While less is queued, a small message needs no thought, and goes into the queue's window: the first as long as the
  // transport takes bytes, the second while it is blocked. 0: never. What changes whether or when a message may leave
  // closes the window.
  std::array<std::size_t, 2> quick_limits_{};
  std::unique_ptr<std::vector<std::uint64_t>> record_sizes_;  // of the queue, on record transports
  std::size_t record_first_ = 0;
  Watch::Pointer read_watch_;
  Watch::Pointer write_watch_;  // null: both directions share one handle
  EngineDriver::Use engine_;    // null: the transport has none, or somebody else drives it
  std::int64_t linger_deadline_ns_ = 0;
  std::size_t index_ = 0;
  std::uint32_t vain_sweeps_ = 0;
  Status status_ = Status::ok;
  Status failure_ = Status::ok;  // of a write or of arming: what has arrived is delivered first
  int read_events_ = 0;
  int write_events_ = 0;
  Phase phase_ = Phase::open;
  bool graceful_ = false;
  bool in_handler_ = false;
  bool paused_ = false;
  bool input_ended_ = false;
  bool blocked_ = false;  // the transport takes no more until its handle says so
  bool wants_room_ =
      false;            // the handle is asked; left on until it fires for nothing, as each change costs system calls
  bool above_ = false;  // write() has returned false
  bool write_shut_ = false;  // shutdown_write() was called
  bool shut_done_ = false;   // and has reached the transport
  bool in_to_read_ = false;
  bool in_to_flush_ = false;
  bool in_to_arm_ = false;
  bool out_of_poll_ = false;  // in to_arm, see leave_poll()
  bool lingering_ = false;
};

}  // namespace ferry

// One QUIC stream as its two sides see it: an application's reader and writer, and the engine.
//
// Everything that crosses between them is here: two byte queues, each with one producer and one consumer, two wake-ups,
// and a few flags. The engine's side is called by whoever has entered the engine, one thread at a time. Nothing is
// locked.
//
// A flow-control window opens as the application consumes, so a peer has at most one window of bytes in `incoming`; the
// writer may have at most `send_limit` unacknowledged bytes in `outgoing`.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "ferry/abi.h"
#include "quic_queue.hpp"
#include "quic_wakeup.hpp"

namespace ferry::quic {

class Engine;
class Session;

/// How far a direction of a stream has come.
enum class Direction : std::uint8_t {
  open,
  ended,   ///< reading: the peer's last byte is in the queue
  reset,   ///< by the peer, or with the whole connection
  stopped  ///< reading: by us
};

/// Where a reader that looks for packets by itself wants its bytes: what arrives meanwhile need not go through the
/// queue.
struct Landing {
  std::uint8_t* at;
  std::size_t room;
  std::size_t got = 0;
};

class Stream : public std::enable_shared_from_this<Stream> {
 public:
  /// `credit_step`: consumption is reported in steps of so many bytes.
  Stream(Engine& engine, std::shared_ptr<Session> session, std::uint64_t send_limit, std::uint64_t credit_step);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // ---- The application's side: the ABI's operations, with their thread tags.
  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns);
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags, std::int64_t deadline_ns);
  std::int32_t arm(ferry_interest interest) noexcept;
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) noexcept;
  ferry_status shutdown_write() noexcept;
  void interrupt() noexcept;
  ferry_status finish(std::int64_t deadline_ns) noexcept;
  const std::shared_ptr<Session>& session() const noexcept { return session_; }
  /// What FERRY_READ wakes on; a connect waits on it for its handshake, before there is a reader.
  Wakeup& readable() noexcept { return readable_; }
  /// FERRY_OK once the peer may allow another stream, or has answered a move, see Session::open_stream and begin_move;
  /// else why not.
  ferry_status wait_for_news(std::int64_t deadline_ns) noexcept;
  /// What the peer gave as its reason; negative: nothing so far.
  std::int64_t code(ferry_interest direction) const noexcept {
    return (direction == FERRY_WRITE ? write_code_ : read_code_).load(std::memory_order_relaxed);
  }
  Wakeup& writable() noexcept { return writable_; }
  /// The handle is closed. Inside the engine.
  void forsake() noexcept;

  // ---- The engine's side. Called inside the engine.
  /// Takes what arrived. The application sees it after tell().
  void arrived(std::span<const std::uint8_t> bytes);
  /// Until the next call, what arrives in order goes there as long as there is room; null: into the queue.
  void land_at(Landing* landing) noexcept { landing_ = landing; }
  /// The engine's driver wants to hear of it by `token`.
  void adopt(std::uint32_t driver, std::uint64_t token) noexcept { adopted_by_ = driver, token_ = token; }
  std::uint32_t adopted_by() const noexcept { return adopted_by_; }
  std::uint64_t token() const noexcept { return token_; }
  void end_reading(Direction how) noexcept;
  /// The peer takes no more, or the connection is gone.
  void end_writing() noexcept;
  /// What may be handed to ngtcp2 now, at most `limit` bytes; false in `fin` as long as any are left.
  std::size_t gather(std::span<std::span<const std::uint8_t>> pieces, std::size_t limit, bool& fin) noexcept;
  void handed_over(std::size_t size, bool fin) noexcept;
  bool has_output() const noexcept;
  /// What was written and ngtcp2 does not have yet; and how much it has.
  std::uint64_t waiting() const noexcept { return outgoing_.written() - next_.position(); }
  std::uint64_t handed() const noexcept { return next_.position(); }
  bool has_begun() const noexcept { return handed() > 0 || fin_handed_; }
  /// Nothing that was handed over counts: all of it is there still, and comes again.
  void begin_anew() noexcept;
  /// Ends our direction as shutdown_write does.
  void end_output() noexcept { shut_.store(true, std::memory_order_seq_cst); }
  bool all_acknowledged() const noexcept {
    return fin_handed_ && outgoing_.released() + acknowledged_ == next_.position();
  }
  /// The writer has room for it after tell().
  void acknowledged(std::uint64_t size) noexcept { acknowledged_ += size; }
  /// Shows the application what changed and wakes it. Once per batch of packets, because each wake-up may cost this
  /// thread its processor.
  void tell() noexcept;
  void fin_acknowledged() noexcept;
  bool is_fin_acknowledged() const noexcept { return fin_acknowledged_.load(std::memory_order_relaxed); }
  /// How many bytes were consumed since the last call: by so many the windows open.
  std::uint64_t take_credit() noexcept;
  /// What waits is dropped, what still comes as well, and both count as consumed. By the reader, inside.
  void drop_input() noexcept;
  void stop_reading() noexcept;
  void note_code(ferry_interest direction, std::uint64_t code) noexcept {
    (direction == FERRY_WRITE ? write_code_ : read_code_)
        .store(static_cast<std::int64_t>(code), std::memory_order_relaxed);
  }
  void expect_news() noexcept { has_news_.store(false, std::memory_order_seq_cst); }
  void tell_news() noexcept;
  bool discards_input() const noexcept { return discards_; }
  Direction reading() const noexcept { return reading_.load(std::memory_order_relaxed); }
  Direction writing() const noexcept { return writing_.load(std::memory_order_relaxed); }

  std::int64_t id = -1;             // the engine's; -1: not open yet
  bool blocked = false;             // the engine's; flow control let no byte through
  bool in_tell_list = false;        // the engine's
  bool in_ready_list = false;       // the engine's
  bool closed = false;              // the engine's; both directions are done with
  bool released = false;            // the engine's; the application has let go of it
  bool must_announce = false;       // the engine's; before its first byte, so that the peer may use it
  std::int64_t pending_reset = -1;  // the engine's; codes of a reset or stop before the peer opened the stream
  std::int64_t pending_stop = -1;
  std::atomic<bool> posted{false};  // in the engine's list of streams to look at
  Stream* next_posted = nullptr;    // its link, the poster's
  std::shared_ptr<Stream> posted_self;

 private:
  bool can_read() const noexcept;
  bool can_write() const noexcept;
  bool finished() const noexcept;
  /// The peer has all of our direction. From then on ngtcp2 may be done with the stream, and `writing_` be closed.
  bool finished_in_order() const noexcept { return fin_acknowledged_.load(std::memory_order_seq_cst); }
  std::uint64_t room() const noexcept { return send_limit_ - (outgoing_.tail() - outgoing_.released()); }
  std::uint64_t unsent() const noexcept { return outgoing_.tail() - handed_.load(std::memory_order_seq_cst); }
  void consumed(std::uint64_t size) noexcept;
  bool spins(std::uint32_t& looks) const noexcept;
  /// FERRY_OK when `ready` is true, else sleeps until it may be or says why not.
  template <class Ready>
  ferry_status wait(Wakeup& wakeup, std::int64_t deadline_ns, Ready&& ready, Landing* landing = nullptr) noexcept;

  Engine& engine_;
  const std::shared_ptr<Session> session_;
  const std::uint64_t send_limit_;
  const std::uint64_t write_low_water_;  // a blocked writer is woken for no less room
  const std::uint64_t unsent_limit_;     // more waits, although there is room
  const std::uint64_t credit_step_;

  ByteQueue incoming_;
  ByteQueue outgoing_;
  Wakeup readable_;
  Wakeup writable_;
  Wakeup news_;
  std::atomic<Direction> reading_{Direction::open};
  std::atomic<Direction> writing_{Direction::open};
  std::atomic<bool> interrupted_{false};
  std::atomic<bool> shut_{false};  // the application ended its direction
  std::atomic<bool> finishing_{false};
  std::atomic<bool> fin_acknowledged_{false};
  std::atomic<bool> has_news_{true};
  std::atomic<std::int64_t> read_code_{FERRY_WOULD_BLOCK};
  std::atomic<std::int64_t> write_code_{FERRY_WOULD_BLOCK};
  std::uint64_t unreported_ = 0;     // the reader's
  std::uint32_t read_looks_ = 0;     // the reader's, without waiting, since it last slept
  std::uint32_t write_looks_ = 0;    // the writer's
  std::atomic<bool> looped_{false};  // an event loop waits on it, and counts as a sleeper
  std::uint32_t adopted_by_ = 0;     // the driver's, with its token
  std::uint64_t token_ = 0;

  // The engine's.
  ByteQueue::Cursor next_{outgoing_};     // the first byte that ngtcp2 does not have yet
  std::atomic<std::uint64_t> handed_{0};  // its position, for the writer
  std::uint64_t acknowledged_ = 0;        // since tell()
  bool fin_handed_ = false;
  std::uint64_t credited_ = 0;
  bool discards_ = false;
  std::uint64_t discarded_ = 0;  // dropped on arrival
  std::uint64_t landed_ = 0;     // that never were in the queue
  Landing* landing_ = nullptr;
};

}  // namespace ferry::quic

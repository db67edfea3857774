// One direction of a connection: a single-producer, single-consumer ring of bytes in memory that two processes share.
//
// RingWriter and RingReader are each side's private half over a RingControl (ring_layout.hpp) and the ring's bytes,
// which are mapped twice in a row so that every view is contiguous. Each keeps a copy of the other side's position and
// fetches the real one only when the copy does not suffice. Nothing here waits or enters the kernel, but for `arm`'s
// barrier: calls say what there is, and whom to wake.
//
// Sleeping. A side that finds nothing calls arm(kind, minimum), which announces it and looks once more; on true it may
// sleep until woken, and then calls disarm() before it goes on. Every call that publishes something returns the kind of
// sleeper on the other side that now has what it wanted, at most once for each arm (publish_plainly in two steps); the
// caller must wake it:
//   if (ring.arm(Wake::blocked, 1)) futex_wait(&ring.sleep_word(), Wake::blocked);   ring.disarm();
//
// Trust. The other process may store anything at any time. What it owns is loaded once per decision, and a position
// that it cannot have come to is `corrupt`; private copies are the only thing that addresses memory, always within the
// mapping. Bytes that were lent can still change under the caller: whoever parses them in place loads each once.
//
// Every operation that is not relaxed names its partner. Machine: std::atomic and the barriers of ring_machine.hpp, or
// a model's, which explores all interleavings (ring_model_test.cpp).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "pace.hpp"
#include "ring_gathering.hpp"
#include "ring_layout.hpp"
#include "ring_machine.hpp"

namespace ferry::shm_spsc {

enum class RingStatus : std::uint8_t {
  ok,
  not_now,  // too little is there, or too little room: wait
  ended,    // reader: too little is there and nothing follows
  reset,    // reader: as ended, and the writer cut it. Writer: the reader has gone
  corrupt,  // the other side broke the protocol: the connection is of no more use
};

/// Who is to be woken, and how. Values are in shared memory.
enum class Wake : std::uint32_t {
  nobody = 0,
  blocked = 1,  // sleeps on the futex word
  polling = 2,  // sleeps in an event loop: signal its event
};

/// Counted by one thread, read by any.
class Counter {
 public:
  void operator++() noexcept { value_.store(value() + 1, std::memory_order_relaxed); }
  std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// What one half has done; for statistics, and for tests that count.
struct RingCounters {
  Counter publishes;  // writer: that moved the tail. Reader: that moved the head
  Counter wakes;      // sleepers that were found to need waking
  Counter sleeps;     // times that arm allowed a sleep
};

/// What both halves do about sleeping: own sleeper, the other's sleeper.
template <class Machine>
class RingHalf {
 public:
  using Control = RingControlOf<Machine::template Atomic>;
  using Word = typename Machine::template Atomic<std::uint32_t>;

  /// The futex word of this half's sleeper; it holds Wake::blocked while armed so.
  Word& sleep_word() noexcept { return self_->kind; }
  /// After a sleep, and after an arm that is not followed by one: wake-ups are no longer wanted. Also for interrupt, by
  /// any thread, before it wakes this side's own futex: a sleep that has not begun then does not begin.
  void disarm() noexcept { self_->kind.store(to_word(Wake::nobody), std::memory_order_relaxed); }
  /// True while an announcement stands that nobody has answered.
  bool is_announced() const noexcept { return self_->kind.load(std::memory_order_relaxed) != to_word(Wake::nobody); }
  /// As disarm. False: the other side has taken the announcement, and a wake-up is on its way.
  bool take_back() noexcept {
    return self_->kind.exchange(to_word(Wake::nobody), std::memory_order_relaxed) != to_word(Wake::nobody);
  }
  /// Between announce and confirm; one serves all the rings that were announced before it.
  void settle() const noexcept {
    if (needs_barrier()) Machine::heavy_barrier();
  }
  /// After announce: whether the other side may look for sleepers without a fence.
  bool needs_barrier() const noexcept {
    // Pairs with the store in fence_less.
    return asymmetric_ && other_fences_->load(std::memory_order_seq_cst) == 0;
  }
  /// Bytes filled, or consumed, since the start.
  std::uint64_t position() const noexcept { return position_; }
  const RingCounters& counters() const noexcept { return counters_; }
  std::uint64_t capacity() const noexcept { return mask_ + 1; }

 protected:
  using SleeperLine = Sleeper<Machine::template Atomic>;

  /// What one side stores for the other about sleeping.
  struct Side {
    SleeperLine* sleeper;
    Word* fences;
  };
  RingHalf(Side self, Side other, std::byte* memory, std::uint64_t capacity, bool asymmetric) noexcept
      : self_(self.sleeper),
        other_(other.sleeper),
        memory_(memory),
        mask_(capacity - 1),
        asymmetric_(asymmetric),
        fences_(!asymmetric),
        self_fences_(self.fences),
        other_fences_(other.fences) {}
  static Side writer_of(Control& control) noexcept { return {&control.writer, &control.writer_fences}; }
  static Side reader_of(Control& control) noexcept { return {&control.reader, &control.reader_fences}; }

  static constexpr std::uint32_t to_word(Wake wake) noexcept { return static_cast<std::uint32_t>(wake); }
  std::byte* at(std::uint64_t position) const noexcept { return memory_ + (position & mask_); }
  /// A store that the other side may be about to sleep for. Two calls: an order that is no constant is seq_cst to gcc,
  /// and on x86 that store is the fence which the asymmetric barrier is there to save.
  template <class T>
  void store_shown(typename Machine::template Atomic<T>& to, T value) const noexcept {
    if (fences_) [[unlikely]] {
      to.store(value, std::memory_order_seq_cst);
    } else {
      to.store(value, std::memory_order_release);
      Machine::light_barrier();
    }
  }

  /// Announces a sleep until the other side's position is `wanted`.
  void announce_until(Wake kind, std::uint64_t wanted) noexcept {
    self_->position.store(wanted, std::memory_order_relaxed);
    // Pairs with the load in may_sleep, which then sees `position`; and, before the second look, with the barrier
    // there: either the other side sees this announcement or we see what it published.
    self_->kind.store(to_word(kind), std::memory_order_seq_cst);
  }

  /// Shows `position`, which is `size` bytes on, and finds the sleeper that it wakes. Takes it out, so that it is woken
  /// once.
  Wake show(typename Machine::template Atomic<std::uint64_t>& to, std::uint64_t position, std::uint64_t size,
            Pace pace = Pace::streaming) noexcept {
    if (size >= Machine::fence_pays_bytes || woke_) {
      woke_ = false;
      fence_more();
    } else if (fences_) [[unlikely]] {
      fence_less();
    }
    if (pace == Pace::exchanging) [[unlikely]] {
      // Of the orders that wait for the bytes the one that store_shown has without an asymmetric barrier.
      to.store(position, std::memory_order_seq_cst);
    } else {
      store_shown(to, position);
    }
    return may_sleep(*other_) ? take_sleeper(position) : Wake::nobody;
  }
  static bool may_sleep(const SleeperLine& other) noexcept {
    // Pairs with the store in announce_until; seq_cst because without an asymmetric barrier it is what orders them.
    return other.kind.load(std::memory_order_seq_cst) != to_word(Wake::nobody);
  }
  void fence_more() noexcept {
    steps_fenced_ = Machine::small_steps_fenced;
    if (std::exchange(fences_, true)) return;
    self_fences_->store(1, std::memory_order_relaxed);  // whoever sees it is seen by the look that follows
  }
  void fence_less() noexcept {
    if (!asymmetric_ || --steps_fenced_ > 0) return;
    fences_ = false;
    // Pairs with the load in needs_barrier: a sleeper that did not see it is seen by every look from now on.
    self_fences_->store(0, std::memory_order_seq_cst);
  }
  Wake take_sleeper(std::uint64_t position) noexcept {
    const std::uint64_t wanted = other_->position.load(std::memory_order_relaxed);
    if (static_cast<std::int64_t>(position - wanted) < 0) return Wake::nobody;
    return take_any_sleeper();
  }
  /// After a mark too: whatever the sleeper wants, it must look now.
  Wake take_any_sleeper() noexcept {
    // seq_cst because after a mark there is no load before it: pairs with the store in announce_until.
    const std::uint32_t kind = other_->kind.exchange(to_word(Wake::nobody), std::memory_order_seq_cst);
    if (kind == to_word(Wake::nobody)) return Wake::nobody;
    ++counters_.wakes;
    woke_ = asymmetric_;
    return kind == to_word(Wake::blocked) ? Wake::blocked : Wake::polling;
  }

  /// As known_positions.
  std::uint64_t known_fences() const noexcept {
    return std::uint64_t{woke_} << 5 | std::uint64_t{fences_} << 4 | static_cast<std::uint64_t>(steps_fenced_);
  }

  // What changes with every message comes first and stands together, on one line.
  std::uint64_t position_ = 0;
  RingCounters counters_;
  SleeperLine* self_;
  SleeperLine* other_;
  std::byte* memory_;
  std::uint64_t mask_;
  bool asymmetric_;
  bool fences_;           // now
  bool woke_ = false;     // a sleeper, since the last step: fences from the next one on
  int steps_fenced_ = 0;  // small ones, to come
  Word* self_fences_;
  Word* other_fences_;
};

/// The producing half. One thread at a time, but for disarm.
template <class Machine = SharedMachine>
class RingWriter : public RingHalf<Machine> {
  using Half = RingHalf<Machine>;
  using Half::position_;

 public:
  using typename Half::Control;

  /// @param memory      2 * `capacity` bytes: the ring's bytes, mapped twice in a row
  /// @param capacity    a power of two
  /// @param asymmetric  both processes are registered for barriers
  RingWriter(Control& control, std::byte* memory, std::uint64_t capacity, bool asymmetric) noexcept
      : Half(Half::writer_of(control), Half::reader_of(control), memory, capacity, asymmetric),
        control_(&control),
        plain_most_(asymmetric ? most_without_fence : 0) {}

  /// All the room there is as far as known, at least `minimum` (1…capacity). ok, not_now, reset, corrupt.
  RingStatus reserve(std::uint64_t minimum, std::span<std::byte>& room) noexcept {
    if (free_bytes() < minimum) [[unlikely]] {
      const RingStatus status = refresh(minimum);
      if (status != RingStatus::ok) return status;
    }
    room = {this->at(position_), static_cast<std::size_t>(free_bytes())};
    return RingStatus::ok;
  }
  /// The first `size` bytes of the room are written; the reader does not see them before publish.
  void fill(std::uint64_t size) noexcept {
    position_ += size;
    held_ += size;
    plain_most_ = 0;
  }
  /// fill, and shows the reader everything filled. The plain case is here for who does not ask before: the model check.
  [[nodiscard]] Wake publish(std::uint64_t size = 0, Pace pace = Pace::streaming) noexcept {
    if (is_plain(size)) return publish_plainly(size, pace) ? take_reader() : Wake::nobody;
    const std::uint64_t shown = std::exchange(held_, 0) + size;
    if (shown == 0) return Wake::nobody;
    position_ += size;
    ++this->counters_.publishes;
    const Wake wake = this->show(control_->tail, position_, shown, pace);  // pairs with RingReader::look
    note_fences();
    return wake;
  }
  /// Whether publish(size) is no more than publish_plainly.
  bool is_plain(std::uint64_t size) const noexcept { return size - 1 < plain_most_; }
  /// publish in two parts, where is_plain: when this is true, take_reader. As short as can be. Every store here counts:
  /// it waits in the processor's store buffer behind those to the ring, whose lines come from the reader's cache, and a
  /// full buffer stops the writer. So does every instruction where the core is shared with another hardware thread.
  [[nodiscard, gnu::always_inline]] bool publish_plainly(std::uint64_t size, Pace pace = Pace::streaming) noexcept {
    const std::uint64_t tail = position_ + size;
    position_ = tail;
    ++this->counters_.publishes;
    Control& control = *control_;
    if (pace == Pace::exchanging) {
      control.tail.store(tail, std::memory_order_seq_cst);  // pairs with RingReader::look
    } else {
      control.tail.store(tail, std::memory_order_release);  // the same
      Machine::light_barrier();
    }
    return this->may_sleep(control.reader);
  }
  Wake take_reader() noexcept {
    const Wake wake = this->take_sleeper(position_);
    note_fences();
    return wake;
  }
  std::uint64_t unpublished() const noexcept { return held_; }
  /// True when the reader has said that it reads no more.
  bool reader_gone() const noexcept { return control_->gone.load(std::memory_order_relaxed) != 0; }

  /// mark_ended or mark_reset, after what was published; idempotent, and a reset overrides an end.
  [[nodiscard]] Wake end(std::uint32_t mark) noexcept {
    this->store_shown(control_->ended, mark);  // pairs with RingReader::look
    return this->take_any_sleeper();
  }

  /// Announces a sleep until `minimum` bytes (at most half the capacity, so that the two sides cannot wait for each
  /// other) are free. Everything filled must be published. True: nothing has changed, sleep.
  bool arm(Wake kind, std::uint64_t minimum) noexcept {
    announce(kind, minimum);
    this->settle();
    return confirm(minimum);
  }
  /// arm in three parts: announce, settle, confirm.
  void announce(Wake kind, std::uint64_t minimum) noexcept {
    this->announce_until(kind, position_ + minimum - this->capacity());
  }
  bool confirm(std::uint64_t minimum) noexcept {
    if (refresh(minimum) == RingStatus::not_now) return ++this->counters_.sleeps, true;
    this->disarm();
    return false;
  }

 private:
  std::uint64_t free_bytes() const noexcept { return this->capacity() - (position_ - head_); }
  RingStatus refresh(std::uint64_t minimum) noexcept {
    // Pairs with the store in RingReader::consume: the reader has done with the bytes before it.
    const std::uint64_t head = control_->head.load(std::memory_order_seq_cst);
    if (head - head_ > position_ - held_ - head_) return RingStatus::corrupt;
    head_ = head;
    if (control_->gone.load(std::memory_order_seq_cst) != 0) return RingStatus::reset;  // pairs with leave
    return free_bytes() >= minimum ? RingStatus::ok : RingStatus::not_now;
  }

 protected:
  /// All that it remembers between calls, in one number while positions are small: for the model.
  std::uint64_t known_positions() const noexcept {
    return this->known_fences() << 48 | position_ << 32 | held_ << 16 | head_;
  }

 private:
  static constexpr std::uint64_t most_without_fence = Machine::fence_pays_bytes - 1;
  void note_fences() noexcept { plain_most_ = this->fences_ || this->woke_ ? 0 : most_without_fence; }

  Control* control_;
  std::uint64_t plain_most_;  // bytes whose publish is plain: 0 while something is held, or a fence is needed
  std::uint64_t held_ = 0;    // filled and not yet published
  std::uint64_t head_ = 0;    // the reader's, as last seen
};

/// The consuming half. One thread at a time, but for disarm.
template <class Machine = SharedMachine>
class RingReader : public RingHalf<Machine> {
  using Half = RingHalf<Machine>;
  using Half::position_;

 public:
  using typename Half::Control;

  /// Parameters as RingWriter's.
  RingReader(Control& control, std::byte* memory, std::uint64_t capacity, bool asymmetric) noexcept
      : Half(Half::reader_of(control), Half::writer_of(control), memory, capacity, asymmetric), control_(&control) {}

  /// All that is unread as far as known, at least `minimum` (1…capacity). ok, not_now, ended, reset, corrupt; after
  /// ended and reset a smaller minimum gets what remains.
  RingStatus peek(std::uint64_t minimum, std::span<const std::byte>& view) noexcept {
    if (known() < minimum) {
      gathering_.before_look();
      const RingStatus status = learn(look(), minimum);
      if (status != RingStatus::ok) return gathering_.found_nothing(), status;
      gathering_.found(known());
    }
    view = all_known();
    return RingStatus::ok;
  }

  /// What the writer shows.
  struct Look {
    std::uint64_t tail;
    std::uint32_t ended;
  };
  /// peek in parts, for who spins and knows of less than `minimum`: when looks_at_once(), look(); when that
  /// brings_news(), take() the tail.
  bool looks_at_once() const noexcept { return gathering_.is_idle(); }
  Look look() const noexcept {
    // The bytes' line beside the tail's and not after it: a round trip then waits for one line's way instead of two. In
    // an exchange a second one, which in a stream would be the line that the writer is at.
    __builtin_prefetch(this->at(position_));
    if (gathering_.came_late()) __builtin_prefetch(this->at(position_) + line_bytes);
    // The mark first: seen, it says that the tail loaded after it is the last one. Pairs with RingWriter::end.
    const std::uint32_t ended = control_->ended.load(std::memory_order_seq_cst);
    // Pairs with the stores in RingWriter::publish and publish_plainly: the bytes before them are written.
    return {control_->tail.load(std::memory_order_seq_cst), ended};
  }
  /// Otherwise the look is counted as one in vain.
  bool brings_news(Look look) noexcept {
    if (look.tail != tail_ || look.ended != mark_open) return true;
    gathering_.found_nothing();
    return false;
  }
  /// False: that makes fewer than `minimum` bytes, or is no position that the writer can have come to; nothing has
  /// changed then, and peek says which.
  bool take(std::uint64_t tail, std::uint64_t minimum, std::span<const std::byte>& view) noexcept {
    const std::uint64_t unread = tail - position_;
    if (unread < minimum || unread > this->capacity()) return false;
    tail_ = tail;
    view = all_known();
    gathering_.found(unread);
    return true;
  }
  /// True when what was found last came after a wait for it.
  bool came_late() const noexcept { return gathering_.came_late(); }
  /// Looks since something was found.
  std::uint32_t in_vain() const noexcept { return gathering_.in_vain(); }
  /// Unread bytes, as far as known.
  std::uint64_t known() const noexcept { return tail_ - position_; }
  /// Gives back the first `size` bytes of the view.
  [[nodiscard]] Wake consume(std::uint64_t size) noexcept {
    position_ += size;
    ++this->counters_.publishes;
    return this->show(control_->head, position_, size);  // pairs with RingWriter::refresh
  }

  /// Nothing more will be read: the writer gets reset from now on. Idempotent.
  [[nodiscard]] Wake leave() noexcept {
    this->template store_shown<std::uint32_t>(control_->gone, 1);  // pairs with RingWriter::refresh
    return this->take_any_sleeper();
  }

  /// Announces a sleep until `minimum` bytes (at most half the capacity) are unread. True: nothing has changed, sleep.
  bool arm(Wake kind, std::uint64_t minimum) noexcept {
    announce(kind, minimum);
    this->settle();
    return confirm(minimum);
  }
  /// arm in three parts: announce, settle, confirm.
  void announce(Wake kind, std::uint64_t minimum) noexcept { this->announce_until(kind, position_ + minimum); }
  bool confirm(std::uint64_t minimum) noexcept {
    if (learn(look(), minimum) == RingStatus::not_now) return ++this->counters_.sleeps, true;
    this->disarm();
    return false;
  }

 private:
  std::span<const std::byte> all_known() const noexcept {
    return {this->at(position_), static_cast<std::size_t>(known())};
  }
  RingStatus learn(Look look, std::uint64_t minimum) noexcept {
    if (look.tail - tail_ > this->capacity() - known()) return RingStatus::corrupt;
    tail_ = look.tail;
    if (known() >= minimum) return RingStatus::ok;
    if (look.ended == mark_open) [[likely]]
      return RingStatus::not_now;
    return look.ended == mark_ended ? RingStatus::ended : RingStatus::reset;
  }

 protected:
  /// All that it remembers between calls, in one number while positions are small: for the model.
  std::uint64_t known_positions() const noexcept { return this->known_fences() << 32 | position_ << 16 | tail_; }

 private:
  Control* control_;
  std::uint64_t tail_ = 0;  // the writer's, as last seen
  Gathering<Machine> gathering_;
};

}  // namespace ferry::shm_spsc

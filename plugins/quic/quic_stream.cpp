#include "quic_stream.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ferry/sdk/poll_wait.hpp"
#include "quic_engine.hpp"
#include "quic_wait.hpp"

namespace ferry::quic {

namespace {

// What a writer may be ahead of the packets: enough for the time that it takes to wake it, little enough to be in the
// processor's cache still when it is encrypted.
constexpr std::uint64_t unsent_bytes = 256u << 10;

}  // namespace

Stream::Stream(Engine& engine, std::shared_ptr<Session> session, std::uint64_t send_limit, std::uint64_t credit_step)
    : engine_(engine),
      session_(std::move(session)),
      send_limit_(send_limit),
      write_low_water_(send_limit / 4),
      unsent_limit_(std::min<std::uint64_t>(send_limit, unsent_bytes)),
      credit_step_(credit_step),
      incoming_(engine.chunks()),
      outgoing_(engine.chunks()) {}

// ------------------------------------------------------------------------------------------ the application's side

template <class Ready>
ferry_status Stream::wait(Wakeup& wakeup, std::int64_t deadline_ns, Ready&& ready, Landing* landing) noexcept {
  for (;;) {
    if (ready()) return FERRY_OK;
    if (interrupted_.load(std::memory_order_seq_cst)) return FERRY_INTERRUPTED;
    if (plugin::deadline_passed(deadline_ns)) return plugin::out_of_time(deadline_ns);
    wait_once(
        engine_, wakeup, deadline_ns, [&] { return ready() || interrupted_.load(std::memory_order_seq_cst); }, this,
        landing);
  }
}

bool Stream::can_read() const noexcept {
  return incoming_.written() != incoming_.released() || reading_.load(std::memory_order_seq_cst) != Direction::open;
}

bool Stream::can_write() const noexcept {
  return (room() >= write_low_water_ && unsent() <= unsent_limit_ / 2) ||
         writing_.load(std::memory_order_seq_cst) != Direction::open;
}

bool Stream::finished() const noexcept {
  return finished_in_order() || writing_.load(std::memory_order_seq_cst) != Direction::open;
}

std::int64_t Stream::read(void* data, std::uint64_t size, std::int64_t deadline_ns) {
  if (size == 0) return 0;
  Landing landing{static_cast<std::uint8_t*>(data), static_cast<std::size_t>(size)};
  bool polled = false;
  for (;;) {
    if (landing.got > 0) {
      consumed(landing.got);
      return static_cast<std::int64_t>(landing.got);
    }
    // The end is looked at first: what had arrived before it is then in the queue.
    const Direction state = reading_.load(std::memory_order_seq_cst);
    if (state == Direction::stopped) return FERRY_CLOSED;
    const std::size_t got = incoming_.read(data, static_cast<std::size_t>(size));
    if (got > 0) {
      consumed(got);
      return static_cast<std::int64_t>(got);
    }
    if (state != Direction::open) return state == Direction::ended ? FERRY_END : FERRY_RESET;
    if (deadline_ns == FERRY_NO_WAIT) {
      if (polled || !spins(read_looks_)) return FERRY_WOULD_BLOCK;
      engine_.poll(*this, &landing);
      polled = true;
      continue;
    }
    read_looks_ = 0;
    const ferry_status status = wait(
        readable_, deadline_ns, [&] { return landing.got > 0 || can_read(); }, &landing);
    if (status != FERRY_OK && landing.got == 0) return status;
  }
}

/// The first look is free. Whoever comes again without having slept spins, and may as well fetch the packets.
bool Stream::spins(std::uint32_t& looks) const noexcept { return !engine_.drives(*this) && ++looks > 1; }

void Stream::consumed(std::uint64_t size) noexcept {
  unreported_ += size;
  if (unreported_ < credit_step_) return;
  unreported_ = 0;
  engine_.post(*this);
}

std::int64_t Stream::write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                           std::int64_t deadline_ns) {
  std::uint64_t wanted = 0;
  for (std::uint32_t i = 0; i < count; ++i) wanted += pieces[i].size;
  if (shut_.load(std::memory_order_relaxed)) return FERRY_CLOSED;
  if (wanted == 0) return 0;
  for (bool polled = false;;) {
    if (writing_.load(std::memory_order_seq_cst) != Direction::open) return FERRY_RESET;
    if (room() >= std::min(wanted, write_low_water_) && unsent() < unsent_limit_) break;
    engine_.post(*this);  // what FERRY_WRITE_MORE held back must go before anything can be acknowledged
    if (deadline_ns == FERRY_NO_WAIT) {
      if (polled || !spins(write_looks_)) return FERRY_WOULD_BLOCK;
      engine_.poll(*this, nullptr);
      polled = true;
      continue;
    }
    write_looks_ = 0;
    const ferry_status status = wait(writable_, deadline_ns, [this] { return can_write(); });
    if (status != FERRY_OK) return status;
  }
  std::uint64_t left = std::min({wanted, room(), unsent_limit_ - unsent()});
  const std::uint64_t before = outgoing_.tail();
  try {
    for (std::uint32_t i = 0; i < count && left > 0; ++i) {
      const std::uint64_t piece = std::min<std::uint64_t>(pieces[i].size, left);
      outgoing_.append(pieces[i].data, static_cast<std::size_t>(piece));
      left -= piece;
    }
  } catch (const std::bad_alloc&) {
    if (outgoing_.tail() == before) throw;
  }
  const auto taken = static_cast<std::int64_t>(outgoing_.tail() - before);
  outgoing_.publish();
  if ((flags & FERRY_WRITE_MORE) == 0) engine_.post(*this);
  return taken;
}

std::int32_t Stream::arm(ferry_interest interest) noexcept {
  const auto ready = [this, interest] {
    if (interest == FERRY_WRITE) return can_write();
    return finishing_.load(std::memory_order_relaxed) ? finished() : can_read();
  };
  if (ready()) return FERRY_READY;
  Wakeup& wakeup = interest == FERRY_WRITE ? writable_ : readable_;
  if (!looped_.load(std::memory_order_relaxed) && !looped_.exchange(true, std::memory_order_relaxed)) {
    engine_.sleep_begins();
  }
  if (!wakeup.arm()) return FERRY_NO_RESOURCES;
  (interest == FERRY_WRITE ? write_looks_ : read_looks_) = 0;
  if (!ready()) return FERRY_ARMED;
  wakeup.disarm();
  return FERRY_READY;
}

ferry_status Stream::pollable(ferry_interest interest, ferry_pollable& out) noexcept {
  const int fd = (interest == FERRY_WRITE ? writable_ : readable_).descriptor();
  if (fd < 0) return FERRY_NO_RESOURCES;
  out.handle = fd;
  out.events = FERRY_POLL_IN;
  return FERRY_OK;
}

ferry_status Stream::shutdown_write() noexcept {
  if (!shut_.exchange(true, std::memory_order_seq_cst)) engine_.post(*this);
  return writing_.load(std::memory_order_seq_cst) == Direction::open || finished_in_order() ? FERRY_OK : FERRY_RESET;
}

void Stream::interrupt() noexcept {
  interrupted_.store(true, std::memory_order_seq_cst);
  readable_.notify();
  writable_.notify();
  news_.notify();
}

ferry_status Stream::wait_for_news(std::int64_t deadline_ns) noexcept {
  return wait(news_, deadline_ns, [this] { return has_news_.load(std::memory_order_seq_cst); });
}

ferry_status Stream::finish(std::int64_t deadline_ns) noexcept {
  if (!finishing_.exchange(true, std::memory_order_seq_cst)) {
    {
      const Engine::Inside inside(engine_);
      drop_input();  // a peer whose window it fills could not write on, nor come to read
    }
    shut_.store(true, std::memory_order_seq_cst);
    engine_.post(*this);
  }
  const ferry_status status = wait(readable_, deadline_ns, [this] { return finished(); });
  if (status != FERRY_OK) return status;
  return finished_in_order() ? FERRY_OK : FERRY_RESET;
}

// ----------------------------------------------------------------------------------------------- the engine's side

void Stream::arrived(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return;
  if (discards_) {
    discarded_ += bytes.size();
    return;
  }
  if (landing_ != nullptr && incoming_.tail() == incoming_.released()) {
    const std::size_t size = std::min(bytes.size(), landing_->room - landing_->got);
    std::memcpy(landing_->at + landing_->got, bytes.data(), size);
    landing_->got += size;
    landed_ += size;
    bytes = bytes.subspan(size);
  }
  incoming_.append(bytes.data(), bytes.size());
}

void Stream::forsake() noexcept {
  adopted_by_ = 0;
  if (looped_.exchange(false, std::memory_order_relaxed)) engine_.sleep_ends();
}

void Stream::tell() noexcept {
  if (incoming_.tail() != incoming_.written()) {
    incoming_.publish();
    engine_.wake(*this, FERRY_READ);
  }
  if (acknowledged_ > 0) outgoing_.release(static_cast<std::size_t>(std::exchange(acknowledged_, 0)));
  handed_.store(next_.position(), std::memory_order_seq_cst);  // pairs with can_write, as a Wakeup asks for
  const std::uint64_t written = outgoing_.written();
  if (written - outgoing_.released() <= send_limit_ - write_low_water_ &&
      written - next_.position() <= unsent_limit_ / 2) {
    engine_.wake(*this, FERRY_WRITE);
  }
}

void Stream::end_reading(Direction how) noexcept {
  if (reading_.load(std::memory_order_relaxed) != Direction::open) return;
  incoming_.publish();  // before the end, or a reader could miss what came with it
  reading_.store(how, std::memory_order_seq_cst);
  engine_.wake(*this, FERRY_READ);
}

void Stream::stop_reading() noexcept {
  drop_input();
  reading_.store(Direction::stopped, std::memory_order_seq_cst);
  readable_.notify();
}

void Stream::drop_input() noexcept {
  discards_ = true;
  incoming_.publish();
  incoming_.release(static_cast<std::size_t>(incoming_.written() - incoming_.released()));
}

void Stream::tell_news() noexcept {
  has_news_.store(true, std::memory_order_seq_cst);
  news_.notify();
}

void Stream::end_writing() noexcept {
  if (writing_.load(std::memory_order_relaxed) != Direction::open) return;
  writing_.store(Direction::reset, std::memory_order_seq_cst);
  engine_.wake(*this, FERRY_WRITE);
  engine_.wake(*this, FERRY_READ);  // a finish waits there
}

std::size_t Stream::gather(std::span<std::span<const std::uint8_t>> pieces, std::size_t limit, bool& fin) noexcept {
  // The end of the direction is looked at first: what was written before it is then in the queue.
  const bool shut = shut_.load(std::memory_order_seq_cst);
  const std::size_t count = next_.gather(pieces, limit);
  fin = shut && count == 0 && !fin_handed_;
  return count;
}

bool Stream::has_output() const noexcept {
  if (writing_.load(std::memory_order_relaxed) != Direction::open) return false;
  const bool shut = shut_.load(std::memory_order_seq_cst);
  return outgoing_.written() != next_.position() || (shut && !fin_handed_);
}

void Stream::handed_over(std::size_t size, bool fin) noexcept {
  next_.advance(size);
  if (fin) fin_handed_ = true;
}

void Stream::begin_anew() noexcept {
  next_ = ByteQueue::Cursor(outgoing_);
  fin_handed_ = false;
  blocked = false;
}

void Stream::fin_acknowledged() noexcept {
  if (fin_acknowledged_.load(std::memory_order_relaxed)) return;
  fin_acknowledged_.store(true, std::memory_order_seq_cst);
  engine_.wake(*this, FERRY_READ);
}

std::uint64_t Stream::take_credit() noexcept {
  const std::uint64_t consumed_so_far = incoming_.released() + discarded_ + landed_;
  const std::uint64_t credit = consumed_so_far - credited_;
  credited_ = consumed_so_far;
  return credit;
}

}  // namespace ferry::quic

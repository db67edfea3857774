#include "quic_datagrams.hpp"

#include <algorithm>
#include <cstring>

#include "ferry/sdk/poll_wait.hpp"
#include "quic_engine.hpp"

namespace ferry::quic {

Datagrams::~Datagrams() {
  if (looped_.load(std::memory_order_relaxed)) engine_.sleep_ends();
}

template <class Ready>
ferry_status Datagrams::wait(Wakeup& wakeup, std::int64_t deadline_ns, Ready&& ready) {
  for (;;) {
    if (ready()) return FERRY_OK;
    if (interrupted_.load(std::memory_order_seq_cst)) return FERRY_INTERRUPTED;
    if (plugin::deadline_passed(deadline_ns)) return plugin::out_of_time(deadline_ns);
    wakeup.prepare_sleep();
    if (ready() || interrupted_.load(std::memory_order_seq_cst)) {  // pairs with interrupt and the locked changes
      wakeup.disarm();
      continue;
    }
    engine_.sleep_begins();
    wakeup.sleep(deadline_ns);
    engine_.sleep_ends();
  }
}

bool Datagrams::can_read() {
  const std::scoped_lock lock(mutex_);
  return over_ != FERRY_OK || !incoming_.datagrams.empty();
}

bool Datagrams::can_write() {
  const std::scoped_lock lock(mutex_);
  return over_ != FERRY_OK || outgoing_.bytes < limit_bytes_;
}

std::int64_t Datagrams::read(void* data, std::uint64_t size, std::int64_t deadline_ns) {
  for (;;) {
    {
      const std::scoped_lock lock(mutex_);
      if (!incoming_.datagrams.empty()) {
        const std::vector<std::uint8_t>& first = incoming_.datagrams.front();
        if (first.size() > size) return FERRY_TOO_LARGE;
        const auto got = static_cast<std::int64_t>(first.size());
        std::copy(first.begin(), first.end(), static_cast<std::uint8_t*>(data));
        incoming_.pop();
        return got;
      }
      if (over_ != FERRY_OK) return over_;
    }
    const ferry_status status = wait(readable_, deadline_ns, [this] { return can_read(); });
    if (status != FERRY_OK) return status;
  }
}

ferry_status Datagrams::write(std::vector<std::uint8_t> datagram, std::int64_t deadline_ns) {
  for (;;) {
    {
      const std::scoped_lock lock(mutex_);
      if (over_ != FERRY_OK) return FERRY_RESET;
      if (outgoing_.bytes < limit_bytes_) {
        outgoing_.push(std::move(datagram));
        return FERRY_OK;
      }
    }
    const ferry_status status = wait(writable_, deadline_ns, [this] { return can_write(); });
    if (status != FERRY_OK) return status;
  }
}

std::int32_t Datagrams::arm(ferry_interest interest) noexcept {
  const auto ready = [this, interest] { return interest == FERRY_WRITE ? can_write() : can_read(); };
  if (ready()) return FERRY_READY;
  Wakeup& wakeup = interest == FERRY_WRITE ? writable_ : readable_;
  if (!looped_.load(std::memory_order_relaxed) && !looped_.exchange(true, std::memory_order_relaxed)) {
    engine_.sleep_begins();
  }
  if (!wakeup.arm()) return FERRY_NO_RESOURCES;
  if (!ready()) return FERRY_ARMED;
  wakeup.disarm();
  return FERRY_READY;
}

ferry_status Datagrams::pollable(ferry_interest interest, ferry_pollable& out) noexcept {
  const int fd = (interest == FERRY_WRITE ? writable_ : readable_).descriptor();
  if (fd < 0) return FERRY_NO_RESOURCES;
  out.handle = fd;
  out.events = FERRY_POLL_IN;
  return FERRY_OK;
}

void Datagrams::interrupt() noexcept {
  interrupted_.store(true, std::memory_order_seq_cst);
  readable_.notify();
  writable_.notify();
}

void Datagrams::arrived(std::span<const std::uint8_t> datagram) {
  std::vector<std::uint8_t> copy(datagram.begin(), datagram.end());
  {
    const std::scoped_lock lock(mutex_);
    const std::uint64_t cost = cost_of(copy);
    while (drop_ == Drop::oldest && !incoming_.datagrams.empty() && incoming_.bytes + cost > limit_bytes_) {
      incoming_.pop();
      dropped_.fetch_add(1, std::memory_order_relaxed);
    }
    if (incoming_.bytes + cost > limit_bytes_) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    incoming_.push(std::move(copy));
  }
  readable_.notify();
}

std::span<const std::uint8_t> Datagrams::next() noexcept {
  const std::scoped_lock lock(mutex_);
  if (outgoing_.datagrams.empty()) return {};
  return outgoing_.datagrams.front();  // a deque's elements stay where they are while others are appended
}

void Datagrams::taken() noexcept {
  {
    const std::scoped_lock lock(mutex_);
    outgoing_.pop();
  }
  writable_.notify();
}

void Datagrams::end(bool in_order) noexcept {
  {
    const std::scoped_lock lock(mutex_);
    over_ = in_order ? FERRY_END : FERRY_RESET;
  }
  readable_.notify();
  writable_.notify();
}

}  // namespace ferry::quic

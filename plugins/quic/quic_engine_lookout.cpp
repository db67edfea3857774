// Who looks for packets and keeps the deadlines: the driver, a leader, pollers, the keeper. See quic_engine.hpp.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <iterator>

#include "quic_engine.hpp"
#include "quic_session.hpp"
#include "quic_stream.hpp"
#include "quic_wakeup.hpp"

namespace ferry::quic {
namespace {

constexpr std::uint64_t doze_ns = 2'000'000;  // how long those that look may stay away before the keeper steps in
constexpr int stop_look_ms = 10;  // at what still lingers: it may end in our own work, of which no descriptor tells
constexpr std::uint32_t polls_per_look = 16;       // at one socket, between two at everything
constexpr std::size_t sockets_tried = 4;           // with more, epoll is asked which have something
constexpr std::uint32_t packets_per_message = 16;  // about, when the kernel joins them
constexpr std::int64_t ns_per_s = 1'000'000'000;

}  // namespace

// ------------------------------------------------------------------------------------------------------ the keeper

void Engine::keep() noexcept {
  for (bool stops = false;;) {
    const bool due = settle_before_wait();
    pollfd waits[] = {{epoll_.get(), POLLIN, 0}, {keeper_call_.get(), POLLIN, 0}};
    const int longest_ms = stops ? stop_look_ms : -1;
    (void)::poll(waits, std::size(waits), due ? 0 : longest_ms);
    eventfd_t count;
    const bool is_called = waits[1].revents != 0 && ::eventfd_read(keeper_call_.get(), &count) == 0;
    stops = stopping_.load(std::memory_order_seq_cst);  // pairs with the destructor
    if (!is_called || stops) {
      const Inside inside(*this);
      safely([&] { handle_pending(); });
    }
    if (!stops) {
      nap();
      continue;
    }
    // What was closed gracefully may still be on its way, for a bounded time: see Session::end.
    const Inside inside(*this);
    if (!has_lingering()) return;
  }
}

/// There are threads that count on the keeper, and nobody else looks.
bool Engine::is_left_to_keeper() const noexcept {
  return sleepers_.load(std::memory_order_seq_cst) != 0 && !has_leader_.load(std::memory_order_seq_cst) &&
         !has_driver_.load(std::memory_order_seq_cst);
}

/// Sleeps as long as others look for packets.
void Engine::nap() noexcept {
  for (;;) {
    const std::uint32_t waiters = waiters_.load(std::memory_order_seq_cst);
    const std::uint32_t looks = looks_.load(std::memory_order_seq_cst);
    const bool quiet = looks == looks_seen_;
    if (quiet && waiters == 0) break;  // they have not come back
    looks_seen_ = looks;
    const std::uint32_t how = quiet ? sleeping : dozing;
    napping_.store(how, std::memory_order_seq_cst);
    // Pairs with who changes any of them and then looks at napping_.
    if (stopping_.load(std::memory_order_seq_cst) || is_left_to_keeper()) break;
    if (quiet && (waiters_.load(std::memory_order_seq_cst) == 0 || looks_.load(std::memory_order_seq_cst) != looks)) {
      continue;
    }
    sleep_while(napping_, how, quiet ? FERRY_FOREVER : static_cast<std::int64_t>(now_ns() + doze_ns));
  }
  napping_.store(awake, std::memory_order_seq_cst);  // pairs with somebody_waits
}

void Engine::end_nap() noexcept {
  const std::uint32_t state = napping_.load(std::memory_order_seq_cst);  // pairs with nap
  if (state == awake || state == called) return;
  napping_.store(awake, std::memory_order_seq_cst);
  wake_one(napping_);
}

void Engine::wake_leader() noexcept { (void)::eventfd_write(wake_.get(), 1); }

void Engine::sleep_begins() noexcept {
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  if (is_left_to_keeper()) end_nap();
}

/// Others than who asks, inside the engine. Who begins to wait says so first and comes inside then.
bool Engine::somebody_waits() const noexcept {
  return waiters_.load(std::memory_order_seq_cst) != 0 || napping_.load(std::memory_order_seq_cst) == awake;
}

void Engine::wait_begins() noexcept { waiters_.fetch_add(1, std::memory_order_seq_cst); }

void Engine::wait_ends() noexcept {
  looks_.fetch_add(1, std::memory_order_seq_cst);
  waiters_.fetch_sub(1, std::memory_order_seq_cst);
}

/// To be called after wait_ends: a keeper that sleeps for good is to watch whether we come back, and one that looks for
/// packets may leave that to us. It is called once: until it has got a processor, we may be here a hundred times.
void Engine::call_keeper() noexcept {
  std::uint32_t state = napping_.load(std::memory_order_seq_cst);  // pairs with nap
  if (state == sleeping) end_nap();
  if (state != awake || !napping_.compare_exchange_strong(state, called, std::memory_order_seq_cst)) return;
  (void)::eventfd_write(keeper_call_.get(), 1);
}

// ----------------------------------------------------------------------------------------------------- what they do

void Engine::handle_events(std::span<const epoll_event> events, bool leads) {
  looked_at_ = now_ns();
  for (const epoll_event& event : events) {
    std::uint64_t count;
    if (event.data.fd == wake_.get()) {
      // A leader's wake-up is for nobody else to take, unless it came too late.
      if (leads || !has_leader_.load(std::memory_order_seq_cst)) (void)!::read(wake_.get(), &count, sizeof(count));
    } else if (event.data.fd == timer_.get()) {
      clear_timer();
    } else if (const auto found = sockets_.find(event.data.fd); found != sockets_.end()) {
      const Registered registered = found->second;
      if ((event.events & EPOLLOUT) != 0) {
        watch_writable(*registered.socket, false);
        registered.handler->on_writable();
      }
      const std::size_t messages = registered.socket->receive(*receive_buffers_, *registered.handler, looked_at_);
      // What followed while we computed is acknowledged together.
      if (messages > 0 && registered.handler->expects_more()) {
        (void)registered.socket->receive(*receive_buffers_, *registered.handler, looked_at_);
      }
    }
  }
  expire(looked_at_);
}

void Engine::handle_pending() {
  epoll_event events[max_events];
  const int count = ::epoll_wait(epoll_.get(), events, max_events, 0);
  handle_events({events, static_cast<std::size_t>(std::max(count, 0))}, false);
}

/// The same without asking epoll, where that is cheaper. False: there was nothing.
bool Engine::try_sockets(std::size_t messages) {
  if (sockets_.size() > sockets_tried) return false;
  looked_at_ = now_ns();
  bool found = timer_set_to_ <= looked_at_;
  if (found) clear_timer();
  std::array<int, sockets_tried> fds;
  std::size_t count = 0;
  for (const auto& entry : sockets_) fds[count++] = entry.first;
  for (std::size_t i = 0; i < count; ++i) {
    const auto entry = sockets_.find(fds[i]);  // a packet may end a connection and its socket
    if (entry == sockets_.end()) continue;
    const Registered registered = entry->second;
    found |= registered.socket->receive(*receive_buffers_, *registered.handler, looked_at_, messages) > 0;
  }
  expire(looked_at_);
  return found;
}

void Engine::poll(Stream& stream, Landing* landing) noexcept {
  if (!try_enter()) return;
  looks_.fetch_add(1, std::memory_order_relaxed);
  safely([&] {
    flush_sessions();
    stream.land_at(landing);
    if (++polls_ % polls_per_look == 0) {
      handle_pending();
    } else {
      looked_at_ = now_ns();
      stream.session()->receive(*receive_buffers_, looked_at_);
      expire(looked_at_);
    }
  });
  stream.land_at(nullptr);
  tell_and_leave();
}

// ----------------------------------------------------------------------------------------------------- leaders

bool Engine::start_leading() noexcept {
  const auto unwanted = [this] {
    return has_driver_.load(std::memory_order_seq_cst) || sleepers_.load(std::memory_order_seq_cst) != 0;
  };
  if (unwanted() || has_leader_.exchange(true, std::memory_order_seq_cst)) return false;
  if (!has_driver_.load(std::memory_order_seq_cst)) return true;  // pairs with take
  stop_leading();
  return false;
}

bool Engine::lead_begins() noexcept {
  wait_begins();
  return settle_before_wait();
}

void Engine::lead_no_more() noexcept {
  wait_ends();
  call_keeper();
}

bool Engine::lead(const Wait& wait, bool at_once) noexcept {
  const bool forever = wait.deadline_ns == FERRY_FOREVER && !at_once;
  timespec left{};
  if (!forever && !at_once) {
    const std::int64_t ns = std::max<std::int64_t>(wait.deadline_ns - static_cast<std::int64_t>(now_ns()), 0);
    left = {ns / ns_per_s, ns % ns_per_s};
  }
  epoll_event events[max_events];
  pollfd waits[] = {{epoll_.get(), POLLIN, 0}, {wait.descriptor, POLLIN, 0}};
  int count = 0;
  if (wait.descriptor < 0) {
    count = ::epoll_pwait2(epoll_.get(), events, max_events, forever ? nullptr : &left, nullptr);
  } else if (::ppoll(waits, std::size(waits), forever ? nullptr : &left, nullptr) > 0) {
    count = ::epoll_wait(epoll_.get(), events, max_events, 0);
  }
  wait_ends();
  for (Wakeup* const wakeup : wait.wakeups) wakeup->disarm();  // what we find by ourselves need not be signalled
  const bool something = count > 0 || at_once;
  if (something) {
    enter();
    if (wait.reader != nullptr) wait.reader->land_at(wait.landing);
    safely([&] { handle_events({events, static_cast<std::size_t>(std::max(count, 0))}, true); });
    if (wait.reader != nullptr) wait.reader->land_at(nullptr);
    tell_and_leave();
  }
  call_keeper();
  return something && waits[1].revents == 0 && !has_driver_.load(std::memory_order_seq_cst);
}

void Engine::stop_leading() noexcept {
  has_leader_.store(false, std::memory_order_seq_cst);
  if (is_left_to_keeper()) end_nap();
}

// ----------------------------------------------------------------------------------------------------- the driver

ferry_status Engine::take(ferry_pollable& out) noexcept {
  if (has_driver_.exchange(true, std::memory_order_seq_cst)) return FERRY_WOULD_BLOCK;
  driver_.fetch_add(1, std::memory_order_seq_cst);
  if (has_leader_.load(std::memory_order_seq_cst)) wake_leader();  // pairs with start_leading; it lets go
  out.handle = epoll_.get();
  out.events = FERRY_POLL_IN;
  return FERRY_OK;
}

void Engine::adopt(Stream& stream, std::uint64_t token) noexcept {
  const Inside inside(*this);
  stream.adopt(driver_.load(std::memory_order_relaxed), token);
}

bool Engine::drives(const Stream& stream) const noexcept {
  return stream.adopted_by() == driver_.load(std::memory_order_relaxed);
}

std::uint32_t Engine::drive(std::uint32_t budget, std::span<ferry_driven> driven) noexcept {
  if (std::exchange(driver_waits_, false)) {
    wait_ends();
  } else {
    looks_.fetch_add(1, std::memory_order_relaxed);
  }
  DrivenList list{driven};
  if (budget > 0) {
    enter();
    safely([&] {
      flush_sessions();
      driven_ = &list;
      const std::size_t messages = std::clamp<std::size_t>(budget / packets_per_message, 1, ReceiveBuffers::batch);
      if (!try_sockets(messages)) handle_pending();
    });
    tell_applications();
    driven_ = nullptr;
    tell_and_leave();
  }
  call_keeper();
  return list.count;
}

std::int32_t Engine::arm() noexcept {
  if (!std::exchange(driver_waits_, true)) wait_begins();
  return settle_before_wait() ? FERRY_READY : FERRY_ARMED;
}

void Engine::give() noexcept {
  if (std::exchange(driver_waits_, false)) wait_ends();
  driver_.fetch_add(1, std::memory_order_seq_cst);
  has_driver_.store(false, std::memory_order_seq_cst);
  end_nap();
}

void Engine::wake(Stream& stream, ferry_interest interest) noexcept {
  Wakeup& wakeup = interest == FERRY_WRITE ? stream.writable() : stream.readable();
  if (driven_ == nullptr || !drives(stream) || driven_->count == driven_->room.size()) return wakeup.notify();
  if (wakeup.take()) driven_->room[driven_->count++] = {stream.token(), interest, 0};
}

}  // namespace ferry::quic

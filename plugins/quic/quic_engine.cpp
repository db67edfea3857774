#include "quic_engine.hpp"

#include <gnutls/crypto.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <system_error>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/poll_wait.hpp"
#include "ferry/sdk/signal_block.hpp"
#include "quic_acceptor.hpp"
#include "quic_session.hpp"
#include "quic_stream.hpp"
#include "quic_wakeup.hpp"

namespace ferry::quic {
namespace {

using plugin::UniqueFd;

constexpr std::uint64_t ns_per_s = 1'000'000'000;
constexpr std::uint32_t polls_per_look = 16;
constexpr std::uint64_t lead_ns = 1'000'000;  // how long a leader waits for the next packet
constexpr std::uint64_t poll_lasts_ns = lead_ns + 200'000;
constexpr std::uint64_t nap_ns = 1'000'000;

UniqueFd checked(int fd, const char* what) {
  if (fd < 0) throw plugin::os_failure(errno, what);
  return UniqueFd(fd);
}

void watch(int epoll, int fd, std::uint32_t events, int operation) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (::epoll_ctl(epoll, operation, fd, &event) != 0) throw plugin::os_failure(errno, "epoll");
}

}  // namespace

std::uint64_t now_ns() noexcept { return static_cast<std::uint64_t>(plugin::monotonic_ns()); }

void fill_random(std::uint8_t* bytes, std::size_t size) noexcept { (void)gnutls_rnd(GNUTLS_RND_NONCE, bytes, size); }

Engine::Engine(const ferry_host& host) : host_(host) {
  (void)gnutls_rnd(GNUTLS_RND_KEY, secret_.data(), secret_.size());
}

Engine::~Engine() {
  stopping_.store(true, std::memory_order_seq_cst);  // pairs with run
  if (thread_.joinable()) {
    wake_thread();
    thread_.join();
  }
  while (!sessions_.empty()) sessions_.begin()->second->cut();
  removed_.clear();
}

void Engine::start() {
  std::call_once(started_, [this] {
    epoll_ = checked(::epoll_create1(EPOLL_CLOEXEC), "epoll");
    timer_ = checked(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd");
    wake_ = checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
    watch(epoll_.get(), timer_.get(), EPOLLIN, EPOLL_CTL_ADD);
    watch(epoll_.get(), wake_.get(), EPOLLIN, EPOLL_CTL_ADD);
    burst_.reset(new std::uint8_t[max_burst_bytes + 1]);
    receive_buffers_ = std::make_unique<ReceiveBuffers>();
    const plugin::SignalBlock block;
    try {
      thread_ = std::thread([this] { run(); });
    } catch (const std::system_error& error) {
      throw plugin::Failure(FERRY_NO_RESOURCES, std::string("cannot start a thread: ") + error.what(),
                            error.code().value());
    }
  });
}

// ---------------------------------------------------------------------------------------------------- the gate

bool Engine::try_enter() noexcept {
  std::uint32_t expected = open;
  return gate_.compare_exchange_strong(expected, held, std::memory_order_seq_cst);
}

void Engine::enter() noexcept {
  if (try_enter()) return;
  while (gate_.exchange(contended, std::memory_order_seq_cst) != open) gate_.wait(contended);
}

void Engine::settle_and_leave() noexcept {
  for (;;) {
    settle();
    std::vector<std::shared_ptr<Session>> gone;
    gone.swap(removed_);
    if (gate_.exchange(open, std::memory_order_seq_cst) == contended) gate_.notify_one();
    // What was posted while the gate was taken is ours, unless somebody else is inside by now.
    if (posted_.load(std::memory_order_seq_cst) == nullptr) return;  // pairs with post
    if (!try_enter()) return;
  }
}

void Engine::post(Stream& stream) noexcept {
  if (!stream.posted.exchange(true, std::memory_order_seq_cst)) {  // pairs with take_posted
    stream.posted_self = stream.shared_from_this();
    stream.next_posted = posted_.load(std::memory_order_relaxed);
    while (!posted_.compare_exchange_weak(stream.next_posted, &stream, std::memory_order_seq_cst)) {
    }
  }
  if (try_enter()) settle_and_leave();
}

void Engine::settle() noexcept {
  try {
    take_posted();
    tell_applications();
    flush_sessions(now_ns());
    set_timer();
  } catch (const std::bad_alloc&) {
    log(FERRY_LOG_ERROR, "quic: out of memory");
  } catch (const std::exception& error) {
    log(FERRY_LOG_ERROR, std::string("quic: ") + error.what());
  }
}

void Engine::take_posted() {
  for (;;) {
    Stream* stream = posted_.exchange(nullptr, std::memory_order_seq_cst);  // pairs with post
    if (stream == nullptr) return;
    while (stream != nullptr) {
      Stream* const next = stream->next_posted;
      const std::shared_ptr<Stream> self = std::move(stream->posted_self);
      stream->posted.store(false, std::memory_order_seq_cst);  // from here on it may be posted again
      self->session()->serve(*self);
      stream = next;
    }
  }
}

// ------------------------------------------------------------------------------------------ what is to be done inside

void Engine::add(std::shared_ptr<Session> session) {
  Session* const key = session.get();
  sessions_.emplace(key, std::move(session));
}

void Engine::remove(Session& session) noexcept {
  timers_.remove(session);
  const auto found = sessions_.find(&session);
  if (found == sessions_.end()) return;
  removed_.push_back(std::move(found->second));
  sessions_.erase(found);
}

std::vector<Session*> Engine::sessions_of(const Acceptor& acceptor) const {
  std::vector<Session*> out;
  for (const auto& [key, session] : sessions_) {
    if (session->is_of(acceptor)) out.push_back(key);
  }
  return out;
}

void Engine::add_socket(UdpSocket& socket, PacketHandler& handler) {
  watch(epoll_.get(), socket.fd(), EPOLLIN, EPOLL_CTL_ADD);
  sockets_[socket.fd()] = {&socket, &handler};
}

void Engine::remove_socket(UdpSocket& socket) noexcept {
  if (sockets_.erase(socket.fd()) > 0) (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket.fd(), nullptr);
}

void Engine::watch_writable(UdpSocket& socket, bool wanted) noexcept {
  epoll_event event{};
  event.events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.fd = socket.fd();
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket.fd(), &event);
}

Session* Engine::find(const std::string& id) const noexcept {
  const auto found = routes_.find(id);
  return found == routes_.end() ? nullptr : found->second;
}

void Engine::flush_later(Session& session) {
  if (session.in_flush_list) return;
  to_flush_.push_back(&session);
  session.in_flush_list = true;
}

void Engine::tell_later(Stream& stream) {
  if (stream.in_tell_list) return;
  to_tell_.push_back(stream.shared_from_this());
  stream.in_tell_list = true;
}

void Engine::tell_applications() noexcept {
  for (const auto& stream : to_tell_) {
    stream->in_tell_list = false;
    stream->tell();
  }
  to_tell_.clear();
}

void Engine::flush_sessions(std::uint64_t now) {
  while (!to_flush_.empty()) {
    flushing_.swap(to_flush_);
    for (Session* session : flushing_) {
      session->in_flush_list = false;
      try {
        session->flush(now);
      } catch (const std::bad_alloc&) {
        log(FERRY_LOG_ERROR, "quic: out of memory; a connection is cut");
        session->cut();
      }
    }
    flushing_.clear();
  }
}

void Engine::expire(std::uint64_t now) {
  while (timers_.earliest() <= now) {
    auto& session = static_cast<Session&>(*timers_.first());
    timers_.remove(session);
    session.expired(now);
  }
}

/// A later deadline leaves the timer as it is: firing once for nothing is cheaper than moving it with each packet.
void Engine::set_timer() noexcept {
  const std::uint64_t earliest = timers_.earliest();
  if (earliest >= timer_set_to_) return;
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(earliest / ns_per_s);
  when.it_value.tv_nsec = static_cast<long>(std::max<std::uint64_t>(earliest % ns_per_s, 1));
  if (::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr) == 0) timer_set_to_ = earliest;
}

// ----------------------------------------------------------------------------------------------- spinning readers

void Engine::poll(Session& session) noexcept {
  if (!try_enter()) return;
  const std::uint64_t now = now_ns();
  polled_at_.store(now, std::memory_order_seq_cst);
  try {
    if (++polls_ % polls_per_look == 0) {
      epoll_event events[max_events];
      const int count = ::epoll_wait(epoll_.get(), events, max_events, 0);
      handle_events({events, static_cast<std::size_t>(std::max(count, 0))});
    } else {
      session.receive(*receive_buffers_, now);
      expire(now);
    }
  } catch (const std::exception& error) {
    log(FERRY_LOG_ERROR, std::string("quic: ") + error.what());
  }
  settle_and_leave();
}

void Engine::stop_polling() noexcept {
  if (polled_at_.load(std::memory_order_relaxed) == 0) return;
  polled_at_.store(0, std::memory_order_seq_cst);
  if (napping_.load(std::memory_order_seq_cst) != 0) {  // pairs with nap
    napping_.store(0, std::memory_order_seq_cst);
    wake_one(napping_);
  }
}

bool Engine::start_leading() noexcept {
  if (!may_lead_.load(std::memory_order_seq_cst) || sleepers_.load(std::memory_order_seq_cst) != 0) return false;
  return !has_leader_.exchange(true, std::memory_order_seq_cst);
}

bool Engine::lead(std::int64_t deadline_ns) noexcept {
  const std::uint64_t start = now_ns();
  polled_at_.store(start, std::memory_order_seq_cst);
  const auto deadline = static_cast<std::uint64_t>(std::max<std::int64_t>(deadline_ns, 0));
  const std::uint64_t until = std::min(start + lead_ns, std::max(deadline, start));
  const timespec timeout{0, static_cast<long>(until - start)};
  epoll_event events[max_events];
  const int count = ::epoll_pwait2(epoll_.get(), events, max_events, &timeout, nullptr);
  if (count <= 0) return false;
  const Inside inside(*this);
  handle_events_safely({events, static_cast<std::size_t>(count)});
  return true;
}

/// Says nothing to the engine's thread unless somebody sleeps who counts on it: most likely the same thread leads again
/// before that thread's nap is over.
void Engine::stop_leading() noexcept {
  polled_at_.store(now_ns(), std::memory_order_seq_cst);
  has_leader_.store(false, std::memory_order_seq_cst);
  // Pairs with sleep_begins and forbid_leading.
  if (sleepers_.load(std::memory_order_seq_cst) != 0 || !may_lead_.load(std::memory_order_seq_cst)) stop_polling();
}

void Engine::sleep_begins() noexcept {
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  if (!has_leader_.load(std::memory_order_seq_cst)) stop_polling();  // pairs with stop_leading
}

/// Sleeps as long as others look for packets: until they say that they stop, or have not come for a while.
void Engine::nap() noexcept {
  for (;;) {
    napping_.store(1, std::memory_order_seq_cst);
    const std::uint64_t polled_at = polled_at_.load(std::memory_order_seq_cst);  // pairs with stop_polling
    const std::uint64_t now = now_ns();
    if (polled_at == 0 || now >= polled_at + poll_lasts_ns || stopping_.load(std::memory_order_seq_cst)) break;
    sleep_while(napping_, 1, static_cast<std::int64_t>(now + nap_ns));
  }
  napping_.store(0, std::memory_order_relaxed);
}

// ---------------------------------------------------------------------------------------------------- the thread

void Engine::wake_thread() noexcept { (void)::eventfd_write(wake_.get(), 1); }

bool Engine::has_lingering() noexcept {
  return std::any_of(sessions_.begin(), sessions_.end(), [](const auto& entry) { return entry.second->lingers(); });
}

void Engine::run() noexcept {
  for (;;) {
    epoll_event events[max_events];
    const int count = ::epoll_wait(epoll_.get(), events, max_events, -1);
    {
      const Inside inside(*this);
      handle_events_safely({events, static_cast<std::size_t>(std::max(count, 0))});
    }
    if (stopping_.load(std::memory_order_seq_cst)) {  // pairs with the destructor
      // What was closed gracefully may still be on its way, for a bounded time: see Session::end.
      const Inside inside(*this);
      if (!has_lingering()) return;
    }
    nap();
  }
}

void Engine::handle_events_safely(std::span<const epoll_event> events) noexcept {
  try {
    handle_events(events);
  } catch (const std::exception& error) {
    log(FERRY_LOG_ERROR, std::string("quic: ") + error.what());
  }
}

void Engine::handle_events(std::span<const epoll_event> events) {
  const std::uint64_t now = now_ns();
  for (const epoll_event& event : events) {
    std::uint64_t count;
    if (event.data.fd == wake_.get()) {
      (void)!::read(wake_.get(), &count, sizeof(count));
    } else if (event.data.fd == timer_.get()) {
      (void)!::read(timer_.get(), &count, sizeof(count));
      timer_set_to_ = no_deadline;
    } else if (const auto found = sockets_.find(event.data.fd); found != sockets_.end()) {
      const Registered registered = found->second;
      if ((event.events & EPOLLOUT) != 0) registered.handler->on_writable();
      registered.socket->receive(*receive_buffers_, *registered.handler, now);
    }
  }
  expire(now);
}

}  // namespace ferry::quic

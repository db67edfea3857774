#include "quic_engine.hpp"

#include <gnutls/crypto.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <system_error>
#include <utility>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/poll_wait.hpp"
#include "ferry/sdk/signal_block.hpp"
#include "quic_acceptor.hpp"
#include "quic_session.hpp"
#include "quic_stream.hpp"

namespace ferry::quic {
namespace {

using plugin::UniqueFd;

constexpr std::uint64_t ns_per_s = 1'000'000'000;

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
  stopping_.store(true, std::memory_order_seq_cst);  // pairs with keep and nap
  if (keeper_.joinable()) {
    end_nap();
    (void)::eventfd_write(keeper_call_.get(), 1);
    keeper_.join();
  }
  while (!sessions_.empty()) sessions_.begin()->second->cut();
  removed_.clear();
}

void Engine::start() {
  std::call_once(started_, [this] {
    epoll_ = checked(::epoll_create1(EPOLL_CLOEXEC), "epoll");
    timer_ = checked(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd");
    wake_ = checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
    keeper_call_ = checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd");
    watch(epoll_.get(), timer_.get(), EPOLLIN, EPOLL_CTL_ADD);
    watch(epoll_.get(), wake_.get(), EPOLLIN, EPOLL_CTL_ADD);
    burst_.reset(new std::uint8_t[max_burst_bytes + 1]);
    receive_buffers_ = std::make_unique<ReceiveBuffers>();
    const plugin::SignalBlock block;
    try {
      keeper_ = std::thread([this] { keep(); });
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
  do {
    settle();
    if (somebody_waits()) set_timer();  // whoever begins to wait later does it himself
  } while (!leave());
}

bool Engine::settle_before_wait() noexcept {
  bool due = false;
  enter();
  do {
    settle();
    due = timers_.earliest() <= now_ns();
    if (!due) set_timer();
  } while (!leave());
  return due;
}

void Engine::settle() noexcept {
  safely([this] {
    take_posted();
    tell_applications();
    flush_sessions();
  });
  tell_applications();  // of room, where bytes have left
}

void Engine::tell_and_leave() noexcept {
  tell_applications();
  // Who waits at the descriptor would not learn of what is left; a keeper that naps sees to it when that is over.
  if (somebody_waits()) return settle_and_leave();
  if (!leave()) settle_and_leave();
}

bool Engine::leave() noexcept {
  std::vector<std::shared_ptr<Session>> gone;
  gone.swap(removed_);
  retired_.clear();
  looked_at_ = 0;
  if (gate_.exchange(open, std::memory_order_seq_cst) == contended) gate_.notify_one();
  // What was posted while the gate was taken is ours, unless somebody else is inside by now.
  return posted_.load(std::memory_order_seq_cst) == nullptr || !try_enter();  // pairs with post
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
  if (std::exchange(session.in_flush_list, false)) std::erase(to_flush_, &session);
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

void Engine::retire_socket(std::unique_ptr<UdpSocket> socket) noexcept {
  remove_socket(*socket);
  retired_.push_back(std::move(socket));
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

/// At the time of the packets that are answered, if any: later, an acknowledgement that may wait for company, such as
/// the application's reply, would seem to have waited long enough.
void Engine::flush_sessions() {
  if (to_flush_.empty()) return;
  const std::uint64_t now = looked_at_ != 0 ? looked_at_ : now_ns();
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

void Engine::clear_timer() noexcept {
  std::uint64_t count;
  (void)!::read(timer_.get(), &count, sizeof(count));
  timer_set_to_ = no_deadline;
}

bool Engine::has_lingering() noexcept {
  return std::any_of(sessions_.begin(), sessions_.end(), [](const auto& entry) { return entry.second->lingers(); });
}

}  // namespace ferry::quic

#include <utility>

#include "ferry/await.hpp"

namespace ferry {

// ------------------------------------------------------------------------------------------------ AsyncChannel

/// Shared by the channel, the awaiters of its coroutines and the connection's handlers.
struct AsyncChannel::State {
  std::shared_ptr<ReactorConnection> connection;
  std::string descriptor;
  Receive* receive = nullptr;  // those who wait
  Send* send = nullptr;
  Close* close = nullptr;
  bool ended = false;
  bool closing = false;
  std::optional<Status> closed;

  template <class Awaiter>
  static void resume(Awaiter*& awaiter) {
    if (awaiter != nullptr) std::exchange(awaiter, nullptr)->waiting_.resume();
  }
  template <class Awaiter>
  static void interrupt(Awaiter*& awaiter) {
    if (awaiter == nullptr) return;
    awaiter->cancelled_ = true;
    resume(awaiter);
  }
  [[noreturn]] void fail(Status status, const char* operation) const { throw Error(status, operation, descriptor, ""); }

  static ReactorConnection::Handlers handlers(const std::shared_ptr<State>& state) {
    ReactorConnection::Handlers handlers;
    handlers.on_message = [state](ReactorConnection& self, ConstBytes message) {
      if (state->receive != nullptr) state->receive->message_.emplace(message.begin(), message.end());
      resume(state->receive);
      // A coroutine that waits again at once is read to without a pause.
      if (state->receive == nullptr) self.pause_reading();
    };
    handlers.on_end = [state](ReactorConnection&) {
      state->ended = true;
      resume(state->receive);
    };
    handlers.on_writable = [state](ReactorConnection&) { resume(state->send); };
    handlers.on_closed = [state](ReactorConnection&, Status status) {
      state->closed = status;
      resume(state->receive);
      resume(state->send);
      resume(state->close);
    };
    return handlers;
  }
};

AsyncChannel::AsyncChannel(Reactor& reactor, Connection connection, ReactorLimits limits)
    : state_(std::make_shared<State>()) {
  state_->descriptor = connection.descriptor();
  state_->connection = reactor.add(std::move(connection), State::handlers(state_), limits);
  state_->connection->pause_reading();
}

AsyncChannel& AsyncChannel::operator=(AsyncChannel&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

AsyncChannel::~AsyncChannel() {
  if (state_ != nullptr && !state_->closed) state_->connection->close();
}

void AsyncChannel::shutdown_write() {
  state_->closing = true;
  state_->connection->shutdown_write();
}

void AsyncChannel::abort() {
  state_->closing = true;
  state_->connection->abort(Status::interrupted);
}

AsyncChannel::Close AsyncChannel::close() noexcept { return Close(state_); }

void AsyncChannel::cancel() {
  if (state_->closed) return;
  state_->connection->reactor().post([state = state_] {
    State::interrupt(state->receive);
    State::interrupt(state->send);
    State::interrupt(state->close);
  });
}

AsyncChannel::Receive::~Receive() {
  if (state_->receive == this) state_->receive = nullptr;
}

bool AsyncChannel::Receive::await_ready() const noexcept { return state_->ended || state_->closed; }

void AsyncChannel::Receive::await_suspend(std::coroutine_handle<> waiting) {
  waiting_ = waiting;
  state_->receive = this;
  state_->connection->resume_reading();
}

std::optional<std::vector<std::byte>> AsyncChannel::Receive::await_resume() {
  if (message_ || state_->ended) return std::move(message_);
  if (cancelled_) state_->fail(Status::interrupted, "receive");
  if (*state_->closed != Status::ok) state_->fail(*state_->closed, "receive");
  return std::nullopt;
}

AsyncChannel::Send::~Send() {
  if (state_->send == this) state_->send = nullptr;
}

bool AsyncChannel::Send::await_ready() {
  if (state_->closed || state_->closing) state_->fail(state_->closed ? *state_->closed : Status::closed, "send");
  return state_->connection->send(message_);
}

void AsyncChannel::Send::await_suspend(std::coroutine_handle<> waiting) noexcept {
  waiting_ = waiting;
  state_->send = this;
}

void AsyncChannel::Send::await_resume() const {
  if (cancelled_) state_->fail(Status::interrupted, "send");
  if (state_->closed) state_->fail(*state_->closed == Status::ok ? Status::closed : *state_->closed, "send");
}

AsyncChannel::Close::~Close() {
  if (state_->close == this) state_->close = nullptr;
}

bool AsyncChannel::Close::await_ready() const noexcept { return state_->closed.has_value(); }

void AsyncChannel::Close::await_suspend(std::coroutine_handle<> waiting) noexcept {
  waiting_ = waiting;
  state_->close = this;
  state_->closing = true;
  state_->connection->close();
}

Status AsyncChannel::Close::await_resume() const {
  if (cancelled_) state_->fail(Status::interrupted, "close");
  return *state_->closed;
}

// ----------------------------------------------------------------------------------------------- AsyncListener

struct AsyncListener::State {
  std::shared_ptr<ReactorListener> listener;
  Reactor* reactor = nullptr;
  Accept* accept = nullptr;  // who waits
};

AsyncListener::AsyncListener(Reactor& reactor, Listener listener) : state_(std::make_shared<State>()) {
  state_->reactor = &reactor;
  state_->listener = reactor.listen(std::move(listener), [weak = std::weak_ptr(state_)](Connection connection) {
    const auto state = weak.lock();
    if (state == nullptr || state->accept == nullptr) return;
    Accept& accept = *std::exchange(state->accept, nullptr);
    accept.connection_ = std::move(connection);
    accept.waiting_.resume();
    if (state->accept == nullptr) state->listener->pause_accepting();
  });
  state_->listener->pause_accepting();
}

AsyncListener& AsyncListener::operator=(AsyncListener&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}

AsyncListener::~AsyncListener() {
  if (state_ != nullptr) state_->listener->close();
}

std::string AsyncListener::descriptor() const { return state_->listener->descriptor(); }

void AsyncListener::cancel() {
  state_->reactor->post([weak = std::weak_ptr(state_)] {
    const auto state = weak.lock();
    if (state != nullptr && state->accept != nullptr) std::exchange(state->accept, nullptr)->waiting_.resume();
  });
}

AsyncListener::Accept::~Accept() {
  if (state_->accept == this) state_->accept = nullptr;
}

void AsyncListener::Accept::await_suspend(std::coroutine_handle<> waiting) {
  waiting_ = waiting;
  state_->accept = this;
  state_->listener->resume_accepting();
}

Connection AsyncListener::Accept::await_resume() {
  if (!connection_) throw Error(Status::interrupted, "accept", state_->listener->descriptor(), "");
  return std::move(connection_);
}

}  // namespace ferry

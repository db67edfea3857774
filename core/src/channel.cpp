#include "ferry/channel.hpp"

#include <algorithm>
#include <utility>

#include "ferry/authentication.hpp"
#include "message_receiver.hpp"
#include "message_sender.hpp"

namespace ferry {

namespace {
constexpr std::size_t cache_line_bytes = 64;
}

/// The two halves stand on cache lines of their own: their threads do not slow each other down.
struct Channel::State {
  explicit State(Connection taken) : connection(std::move(taken)), sender(connection), receiver(connection) {}

  [[noreturn]] void fail(Status status, const char* operation) const {
    throw Error(status, operation, connection.descriptor(), std::string(describe(status)));
  }
  void authenticate(Authentication::Role role, std::string_view key, Deadline deadline);
  ConstBytes receive_or_fail(const char* operation, Deadline deadline);
  void send_or_fail(ConstBytes message, const char* operation, Deadline deadline);
  Status send_held_back() noexcept;

  Connection connection;
  alignas(cache_line_bytes) MessageSender sender;
  alignas(cache_line_bytes) MessageReceiver receiver;
};

Channel::Channel(Connection connection) : state_(std::make_unique<State>(std::move(connection))) {}
Channel::Channel() noexcept = default;
Channel::Channel(Channel&&) noexcept = default;
Channel& Channel::operator=(Channel&& other) noexcept {
  if (this != &other) {
    (void)close();
    state_ = std::move(other.state_);
  }
  return *this;
}
Channel::~Channel() { (void)close(); }

ConstBytes Channel::State::receive_or_fail(const char* operation, Deadline deadline) {
  ConstBytes message;
  const Status status = receiver.receive_one(message, deadline);
  if (status != Status::ok) fail(status, operation);
  return message;
}

void Channel::State::send_or_fail(ConstBytes message, const char* operation, Deadline deadline) {
  const Status status = sender.send(message, deadline);
  if (status == Status::ok) return;
  if (status == Status::closed) {
    throw Error(status, operation, connection.descriptor(),
                "our direction has ended, or an earlier send broke off inside a message");
  }
  fail(status, operation);
}

void Channel::send(ConstBytes message, Deadline deadline) { state_->send_or_fail(message, "send", deadline); }

void Channel::send(std::string_view message, Deadline deadline) { send(std::as_bytes(std::span(message)), deadline); }

std::vector<std::byte> Channel::receive(Deadline deadline) {
  const ConstBytes message = state_->receive_or_fail("receive", deadline);
  return {message.begin(), message.end()};
}

std::string Channel::receive_text(Deadline deadline) {
  const ConstBytes message = state_->receive_or_fail("receive", deadline);
  return {reinterpret_cast<const char*>(message.data()), message.size()};
}

Status Channel::try_send(ConstBytes message, Deadline deadline) { return state_->sender.send(message, deadline); }

Status Channel::send_many(std::span<const ConstBytes> messages, std::size_t& sent, Deadline deadline) {
  return state_->sender.send_many(messages, sent, deadline);
}

Status Channel::receive_view(ConstBytes& message, Deadline deadline) {
  return state_->receiver.receive_one(message, deadline);
}

Status Channel::receive_many(std::span<ConstBytes> messages, std::size_t& received, Deadline deadline) {
  return state_->receiver.receive(messages, received, deadline);
}

void Channel::cork() noexcept { state_->sender.cork(); }

Status Channel::uncork(Deadline deadline) { return state_->sender.uncork(deadline); }

void Channel::State::authenticate(Authentication::Role role, std::string_view key, Deadline deadline) {
  constexpr const char* operation = "authenticate";
  const Deadline bound = std::chrono::nanoseconds(connection.settings().handshake_ns);
  const Deadline until = std::min(bound.ns(), deadline.ns()) == bound.ns() ? bound : deadline;
  Authentication handshake(role, key);
  const std::uint64_t usual_limit = receiver.max_message();
  receiver.set_max_message(std::min<std::uint64_t>(usual_limit, Authentication::max_message_bytes));
  for (;;) {
    while (const auto message = handshake.take_message()) {
      send_or_fail(std::as_bytes(std::span(*message)), operation, until);
    }
    if (handshake.state() != Authentication::State::working) break;
    handshake.receive(receive_or_fail(operation, until));
  }
  if (handshake.state() == Authentication::State::failed) {
    throw Error(Status::authentication, operation, connection.descriptor(), std::string(handshake.reason()));
  }
  receiver.set_max_message(usual_limit);
}

void Channel::authenticate_as_client(std::string_view key, Deadline deadline) {
  state_->authenticate(Authentication::Role::client, key, deadline);
}

void Channel::authenticate_as_listener(std::string_view key, Deadline deadline) {
  state_->authenticate(Authentication::Role::listener, key, deadline);
}

Status Channel::State::send_held_back() noexcept {
  if (!sender.holds_back()) return Status::ok;
  return sender.uncork(std::chrono::nanoseconds(connection.settings().linger_ns));
}

Status Channel::shutdown_write() noexcept {
  const Status status = state_->send_held_back();
  return status == Status::ok ? state_->connection.shutdown_write() : status;
}

void Channel::interrupt() noexcept { state_->connection.interrupt(); }

Status Channel::close() noexcept {
  if (state_ == nullptr) return Status::ok;
  Status status = state_->send_held_back();
  if (status == Status::ok) {
    status = state_->connection.close();
  } else {
    state_->connection.abort();
  }
  state_.reset();
  return status;
}

void Channel::abort() noexcept {
  if (state_ == nullptr) return;
  state_->connection.abort();
  state_.reset();
}

Connection& Channel::connection() noexcept { return state_->connection; }

std::uint64_t Channel::max_message() const noexcept { return state_->receiver.max_message(); }

}  // namespace ferry

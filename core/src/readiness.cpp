#include "ferry/readiness.hpp"

#include <uv.h>

#include <array>
#include <string>
#include <utility>

#include "ferry/error.hpp"

namespace ferry {
namespace {

constexpr std::uint32_t read_index = 0;
constexpr std::uint32_t write_index = 1;

constexpr std::uint32_t index_of(ferry_interest interest) { return interest == FERRY_READ ? read_index : write_index; }

int uv_events(const ferry_pollable& pollable) {
  return ((pollable.events & FERRY_POLL_IN) != 0 ? UV_READABLE : 0) |
         ((pollable.events & FERRY_POLL_OUT) != 0 ? UV_WRITABLE : 0);
}

}  // namespace

// Both directions may share one handle, and libuv allows one poll handle per descriptor: `polls[write]` is then unused
// and `polls[read]` waits for the union of what is wanted.
struct Readiness::State {
  struct Side {
    ferry_pollable pollable{};
    bool wanted = false;
    bool ready = false;  // arm() said READY: call the handler from the idle phase instead of polling
  };
  struct Poll {
    uv_poll_t handle{};
    bool initialised = false;
    int events = 0;  // what libuv polls for now
  };

  State(ferry_connection* polled, Handler called) : connection(polled), handler(std::move(called)) {}

  ferry_connection* connection;
  Handler handler;
  std::array<Side, 2> sides;
  std::array<Poll, 2> polls;
  uv_idle_t idle{};
  std::uint32_t open_handles = 0;
  bool closing = false;

  bool shared() const { return sides[read_index].pollable.handle == sides[write_index].pollable.handle; }
  std::uint32_t poll_of(std::uint32_t side) const { return shared() ? read_index : side; }
  int wanted_events(std::uint32_t poll_index) const;
  void open(uv_loop_t* loop);
  void open_poll(uv_loop_t* loop, std::uint32_t index);
  void set_events(std::uint32_t poll_index, int events);
  void want(std::uint32_t side, ferry_interest interest);
  void deliver(std::uint32_t side);
  void on_poll(std::uint32_t poll_index, int status, int events);
  void on_idle();
  void close() noexcept;
};

int Readiness::State::wanted_events(std::uint32_t poll_index) const {
  int events = 0;
  for (std::uint32_t side : {read_index, write_index})
    if (poll_of(side) == poll_index && sides[side].wanted && !sides[side].ready)
      events |= uv_events(sides[side].pollable);
  return events;
}

void Readiness::State::open(uv_loop_t* loop) {
  uv_idle_init(loop, &idle);
  idle.data = this;
  ++open_handles;
  for (ferry_interest interest : {ferry_interest{FERRY_READ}, ferry_interest{FERRY_WRITE}}) {
    const ferry_status status = connection->ops->pollable(connection, interest, &sides[index_of(interest)].pollable);
    if (status != FERRY_OK) throw Error(static_cast<Status>(status), "poll", "", "this transport cannot be polled");
  }
  open_poll(loop, read_index);
  if (!shared()) open_poll(loop, write_index);
}

void Readiness::State::open_poll(uv_loop_t* loop, std::uint32_t index) {
  Poll& poll = polls[index];
  const int result = uv_poll_init(loop, &poll.handle, static_cast<int>(sides[index].pollable.handle));
  if (result != 0) throw Error(Status::io, "poll", "", uv_strerror(result), -result);
  poll.handle.data = this;
  poll.initialised = true;
  ++open_handles;
}

void Readiness::State::set_events(std::uint32_t poll_index, int events) {
  Poll& poll = polls[poll_index];
  if (events == poll.events) return;
  poll.events = events;
  if (events == 0) {
    uv_poll_stop(&poll.handle);
    return;
  }
  uv_poll_start(&poll.handle, events, [](uv_poll_t* handle, int status, int fired) {
    auto* state = static_cast<State*>(handle->data);
    state->on_poll(handle == &state->polls[read_index].handle ? read_index : write_index, status, fired);
  });
}

void Readiness::State::want(std::uint32_t side, ferry_interest interest) {
  if (sides[side].wanted) return;
  sides[side].wanted = true;
  // A failure is ready too: the operation that follows reports it.
  sides[side].ready = connection->ops->arm(connection, interest) != FERRY_ARMED;
  if (sides[side].ready) {
    uv_idle_start(&idle, [](uv_idle_t* handle) { static_cast<State*>(handle->data)->on_idle(); });
  } else {
    set_events(poll_of(side), polls[poll_of(side)].events | uv_events(sides[side].pollable));
  }
}

void Readiness::State::deliver(std::uint32_t side) {
  sides[side].wanted = false;
  sides[side].ready = false;
  handler(side == read_index ? FERRY_READ : FERRY_WRITE);
}

void Readiness::State::on_poll(std::uint32_t poll_index, int status, int events) {
  // On POLLERR libuv stops polling and reports an error whatever happened; the operation itself knows the cause.
  const bool failed = status != 0;
  if (failed) polls[poll_index].events = 0;
  for (std::uint32_t side : {read_index, write_index}) {
    if (poll_of(side) != poll_index || !sides[side].wanted || sides[side].ready) continue;
    if (failed || (events & uv_events(sides[side].pollable)) != 0) deliver(side);
    if (closing) return;
  }
  // What fired and is not wanted again would fire in every turn. What did not fire stays polled for, wanted or not:
  // a direction that is wanted after each event then costs no system call.
  const int wanted = wanted_events(poll_index);
  if (failed || (events & ~wanted) != 0) set_events(poll_index, wanted);
}

void Readiness::State::on_idle() {
  uv_idle_stop(&idle);
  for (std::uint32_t side : {read_index, write_index}) {
    if (sides[side].ready) deliver(side);
    if (closing) return;
  }
}

void Readiness::State::close() noexcept {
  closing = true;
  const auto closed = [](uv_handle_t* handle) {
    auto* state = static_cast<State*>(handle->data);
    if (--state->open_handles == 0) delete state;
  };
  for (Poll& poll : polls)
    if (poll.initialised) uv_close(reinterpret_cast<uv_handle_t*>(&poll.handle), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle), closed);
}

Readiness::Readiness(uv_loop_s* loop, ferry_connection* connection, Handler handler)
    : state_(new State(connection, std::move(handler))) {
  try {
    state_->open(loop);
  } catch (...) {
    state_->close();
    throw;
  }
}

Readiness::~Readiness() { state_->close(); }

void Readiness::want(ferry_interest interest) { state_->want(index_of(interest), interest); }

void Readiness::unwant(ferry_interest interest) noexcept { state_->sides[index_of(interest)].wanted = false; }

}  // namespace ferry

#include "ferry/readiness.hpp"

#include <uv.h>

#include <array>
#include <utility>

#include "ferry/error.hpp"
#include "reactor_watch.hpp"

namespace ferry {
namespace {

constexpr std::uint32_t read_index = 0;
constexpr std::uint32_t write_index = 1;

constexpr std::uint32_t index_of(ferry_interest interest) { return interest == FERRY_READ ? read_index : write_index; }

}  // namespace

// Both directions may share one handle, and libuv allows one poll handle per descriptor: `watches[write]` is then null
// and `watches[read]` waits for the union of what is wanted.
struct Readiness::State {
  struct Side {
    int events = 0;  // of the plugin's handle, as libuv calls them
    bool wanted = false;
    bool ready = false;  // arm() said READY: call the handler from the idle phase instead of polling
  };

  State(ferry_connection* polled, Handler called) : connection(polled), handler(std::move(called)) {}

  ferry_connection* connection;
  Handler handler;
  std::array<Side, 2> sides;
  std::array<Watch::Pointer, 2> watches;
  std::array<int, 2> watched{};  // what each watch waits for
  uv_idle_t idle{};
  bool closing = false;

  std::uint32_t watch_of(std::uint32_t side) const { return watches[write_index] == nullptr ? read_index : side; }
  int wanted_events(std::uint32_t watch) const;
  void open(uv_loop_t* loop);
  void watch_for(std::uint32_t watch, int events);
  void want(std::uint32_t side, ferry_interest interest);
  void deliver(std::uint32_t side);
  void deliver_in_idle_phase(std::uint32_t side);
  void on_poll(std::uint32_t watch, int events);
  void on_idle();
  void close() noexcept;
};

int Readiness::State::wanted_events(std::uint32_t watch) const {
  int events = 0;
  for (const std::uint32_t side : {read_index, write_index})
    if (watch_of(side) == watch && sides[side].wanted && !sides[side].ready) events |= sides[side].events;
  return events;
}

void Readiness::State::open(uv_loop_t* loop) {
  (void)uv_idle_init(loop, &idle);
  idle.data = this;
  std::array<ferry_pollable, 2> pollables{};
  for (const ferry_interest interest : {ferry_interest{FERRY_READ}, ferry_interest{FERRY_WRITE}}) {
    const std::uint32_t side = index_of(interest);
    const ferry_status status = connection->ops->pollable(connection, interest, &pollables[side]);
    if (status != FERRY_OK) throw Error(static_cast<Status>(status), "poll", "", "this transport cannot be polled");
    sides[side].events = uv_events_of(pollables[side].events);
  }
  const Watch::Callback callback = [](void* self, Watch& watch, int events) {
    auto& state = *static_cast<State*>(self);
    state.on_poll(&watch == state.watches[read_index].get() ? read_index : write_index, events);
  };
  watches[read_index] = Watch::open(loop, pollables[read_index].handle, callback, this);
  if (pollables[read_index].handle != pollables[write_index].handle) {
    watches[write_index] = Watch::open(loop, pollables[write_index].handle, callback, this);
  }
}

void Readiness::State::watch_for(std::uint32_t watch, int events) {
  watched[watch] = events;
  if (watches[watch]->want(events)) return;
  // The system refuses to poll: the operation itself says why.
  for (const std::uint32_t side : {read_index, write_index})
    if (watch_of(side) == watch && sides[side].wanted) deliver_in_idle_phase(side);
}

void Readiness::State::want(std::uint32_t side, ferry_interest interest) {
  if (sides[side].wanted) return;
  sides[side].wanted = true;
  // A failure is ready too: the operation that follows reports it.
  if (connection->ops->arm(connection, interest) != FERRY_ARMED) return deliver_in_idle_phase(side);
  watch_for(watch_of(side), watched[watch_of(side)] | sides[side].events);
}

void Readiness::State::deliver_in_idle_phase(std::uint32_t side) {
  sides[side].ready = true;
  (void)uv_idle_start(&idle, [](uv_idle_t* handle) { static_cast<State*>(handle->data)->on_idle(); });
}

void Readiness::State::deliver(std::uint32_t side) {
  sides[side].wanted = false;
  sides[side].ready = false;
  handler(side == read_index ? FERRY_READ : FERRY_WRITE);
}

void Readiness::State::on_poll(std::uint32_t watch, int events) {
  for (const std::uint32_t side : {read_index, write_index}) {
    if (watch_of(side) != watch || !sides[side].wanted || sides[side].ready) continue;
    if ((events & sides[side].events) != 0) deliver(side);
    if (closing) return;
  }
  // What fired and is not wanted again would fire in every turn. What did not fire stays polled for, wanted or not:
  // a direction that is wanted after each event then costs no system call.
  const int wanted = wanted_events(watch);
  if ((events & ~wanted) != 0) watch_for(watch, wanted);
}

void Readiness::State::on_idle() {
  (void)uv_idle_stop(&idle);
  for (const std::uint32_t side : {read_index, write_index}) {
    if (sides[side].ready) deliver(side);
    if (closing) return;
  }
}

void Readiness::State::close() noexcept {
  closing = true;
  for (Watch::Pointer& watch : watches) watch.reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&idle),
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
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

}  // namespace ferry

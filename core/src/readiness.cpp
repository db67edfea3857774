#include "ferry/readiness.hpp"

#include <uv.h>

#include <array>
#include <utility>

#include "ferry/error.hpp"
#include "reactor_watch.hpp"

namespace ferry {
namespace {

constexpr std::array<ferry_interest, 2> interests = {FERRY_READ, FERRY_WRITE};

constexpr std::size_t index_of(ferry_interest interest) { return interest == FERRY_READ ? 0 : 1; }

}  // namespace

struct Readiness::State {
  struct Side {
    Watch* watch = nullptr;  // libuv allows one per descriptor: both sides' is the same where they share a handle
    int events = 0;
    bool wanted = false;
    bool ready = false;  // arm() said READY: the handler is called from the idle phase instead of polling
  };

  State(ferry_connection* polled, Handler called) : connection(polled), handler(std::move(called)) {}

  ferry_connection* connection;
  Handler handler;
  std::array<Side, 2> sides;
  std::array<Watch::Pointer, 2> watches;
  uv_idle_t idle{};  // its close callback frees all this
  bool closing = false;

  void open(uv_loop_t* loop);
  void want(ferry_interest interest);
  void deliver(ferry_interest interest);
  void on_ready(Watch& watch, int events);
  void on_idle();
  void close() noexcept;
};

void Readiness::State::open(uv_loop_t* loop) {
  (void)uv_idle_init(loop, &idle);  // always succeeds
  idle.data = this;
  std::array<ferry_pollable, 2> pollables{};
  for (const ferry_interest interest : interests) {
    ferry_pollable& pollable = pollables[index_of(interest)];
    const ferry_status status = connection->ops->pollable(connection, interest, &pollable);
    if (status != FERRY_OK) throw Error(static_cast<Status>(status), "poll", "", "this transport cannot be polled");
    sides[index_of(interest)].events = uv_events_of(pollable.events);
  }
  const auto watch = [&](std::size_t side) {
    watches[side] = Watch::open(
        loop, pollables[side].handle,
        [](void* self, Watch& fired, int events) { static_cast<State*>(self)->on_ready(fired, events); }, this);
    return watches[side].get();
  };
  sides[0].watch = watch(0);
  sides[1].watch = pollables[0].handle == pollables[1].handle ? sides[0].watch : watch(1);
}

void Readiness::State::want(ferry_interest interest) {
  Side& side = sides[index_of(interest)];
  if (side.wanted) return;
  side.wanted = true;
  // A failure is ready too: the operation that follows reports it.
  side.ready = connection->ops->arm(connection, interest) != FERRY_ARMED ||
               !side.watch->want(side.watch->events() | side.events);
  if (!side.ready) return;
  (void)uv_idle_start(&idle, [](uv_idle_t* handle) { static_cast<State*>(handle->data)->on_idle(); });
}

void Readiness::State::deliver(ferry_interest interest) {
  Side& side = sides[index_of(interest)];
  side.wanted = side.ready = false;
  handler(interest);
}

void Readiness::State::on_ready(Watch& watch, int events) {
  for (const ferry_interest interest : interests) {
    const Side& side = sides[index_of(interest)];
    if (side.watch != &watch || !side.wanted || side.ready || (events & side.events) == 0) continue;
    deliver(interest);
    if (closing) return;
  }
  // What fired and is not wanted again would fire in every turn. What did not fire stays polled for, wanted or not:
  // a direction that is wanted after each event then costs no system call.
  int kept = watch.events() & ~events;
  for (const Side& side : sides) {
    if (side.watch == &watch && side.wanted && !side.ready) kept |= side.events;
  }
  (void)watch.want(kept);
}

void Readiness::State::on_idle() {
  (void)uv_idle_stop(&idle);
  for (const ferry_interest interest : interests) {
    if (sides[index_of(interest)].ready) deliver(interest);
    if (closing) return;
  }
}

void Readiness::State::close() noexcept {
  closing = true;
  for (Watch::Pointer& watch : watches) watch.reset();
  uv_close(reinterpret_cast<uv_handle_t*>(&idle),
           [](uv_handle_t* closed) { delete static_cast<State*>(closed->data); });
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

void Readiness::want(ferry_interest interest) { state_->want(interest); }

}  // namespace ferry

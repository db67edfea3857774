// The ring's protocol of publishing, announcing and sleeping, explored whole (see ring_model.hpp), and the proof that
// the exploration would notice: each ordering, barrier and second look is taken out in turn.
#include "ring_model.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <span>
#include <string>

#include "arming.hpp"
#include "ring.hpp"

namespace {

using namespace ferry;
using namespace ferry::shm_spsc;

struct ModelMachine {
  template <class T>
  using Atomic = model::Atomic<T>;
  static constexpr std::uint64_t fence_pays_bytes = 2;
  static constexpr int small_steps_fenced = 1;
  static void light_barrier() noexcept { model::barrier(model::Action::light_barrier); }
  static void heavy_barrier() noexcept { model::barrier(model::Action::heavy_barrier); }
  static void relax() noexcept {}
};
using ModelWriter = RingWriter<ModelMachine>;
using ModelReader = RingReader<ModelMachine>;

/// Locations, in the order in which the control block makes them.
enum Location : std::uint8_t {
  tail,
  ended,
  writer_fences,
  head,
  gone,
  reader_fences,
  reader_kind,
  reader_position,
  writer_kind,
  writer_position
};

struct Scenario {
  bool asymmetric = true;
  Wake sleep = Wake::blocked;
  std::uint64_t capacity = 2;
  std::uint64_t bytes = 2;        // that the writer sends
  std::uint64_t together_at = 9;  // one at a time, but two after so many: with a fence
  Pace pace = Pace::streaming;    // of what the writer publishes
  std::uint64_t minimum = 1;      // that the reader waits for
  std::uint64_t read_before = 9;  // the reader leaves after so many
  bool reader_sleeps = true;
  bool reader_looks_again = true;
  bool writer_looks_again = true;
  bool reader_is_a_loop = false;    // whose signal stays until it is drained
  bool loop_settles_early = false;  // before it announces
  bool loop_drains_late = false;    // after it has seen that its announcement stands
};

/// Memory that both threads share; made anew in each replay, with the same locations.
struct Shared {
  RingControlOf<ModelMachine::Atomic> control;
  std::array<model::Plain, 2> bytes;
};
std::array<std::byte, 8> unused_memory;

/// arm without its second look, for the mutations.
template <class Half>
struct Hasty : Half {
  using Half::Half;
  bool announce_only(Wake kind, std::uint64_t minimum) {
    this->announce(kind, minimum);
    this->settle();
    return true;
  }
  std::uint64_t local_state() const { return this->known_positions(); }
};

void wake(Wake whom) {
  if (whom != Wake::nobody) model::wake(whom == Wake::polling);
}

void wake_reader(const Scenario& scenario, Wake whom) {
  if (!scenario.reader_is_a_loop) return wake(whom);
  if (whom != Wake::nobody) model::raise();
}

template <class Half>
void sleep(Half& half, Wake kind) {
  if (kind == Wake::blocked) {
    model::sleep_on_word(half.sleep_word(), static_cast<std::uint32_t>(Wake::blocked));
  } else {
    model::sleep_on_event();
  }
  half.disarm();
}

void write_all(const Scenario& scenario) {
  Shared shared;
  Hasty<ModelWriter> ring(shared.control, unused_memory.data(), scenario.capacity, scenario.asymmetric);
  for (std::uint64_t sent = 0; sent < scenario.bytes;) {
    model::checkpoint(ring.local_state());
    std::span<std::byte> room;
    const std::uint64_t next = sent == scenario.together_at ? 2 : 1;
    const RingStatus status = ring.reserve(next, room);
    if (status == RingStatus::reset) return;
    model::require(status == RingStatus::ok || status == RingStatus::not_now, "writer: unexpected status");
    if (status == RingStatus::ok) {
      for (const std::uint64_t end = sent + next; sent < end; ++sent)
        shared.bytes[sent % scenario.capacity].write(sent + 1);
      wake_reader(scenario, ring.publish(next, scenario.pace));
    } else if (scenario.writer_looks_again ? ring.arm(scenario.sleep, next)
                                           : ring.announce_only(scenario.sleep, next)) {
      sleep(ring, scenario.sleep);
    }
  }
  wake_reader(scenario, ring.end(mark_ended));
}

void read_all(const Scenario& scenario) {
  Shared shared;
  Hasty<ModelReader> ring(shared.control, unused_memory.data(), scenario.capacity, scenario.asymmetric);
  std::uint64_t seen = 0;
  while (seen < scenario.read_before) {
    model::checkpoint(ring.local_state());
    std::span<const std::byte> view;
    const RingStatus status = ring.peek(scenario.minimum, view);
    if (status == RingStatus::ended) {
      model::require(ring.peek(1, view) != RingStatus::ok || scenario.minimum > 1, "bytes left behind at the end");
      break;
    }
    if (status == RingStatus::ok) {
      for (std::size_t i = 0; i < view.size(); ++i)
        model::require(shared.bytes[(seen + i) % scenario.capacity].read() == seen + i + 1, "reader: a torn byte");
      seen += view.size();
      wake(ring.consume(view.size()));
      continue;
    }
    model::require(status == RingStatus::not_now, "reader: unexpected status");
    if (!scenario.reader_sleeps) continue;
    if (scenario.reader_looks_again ? ring.arm(scenario.sleep, scenario.minimum)
                                    : ring.announce_only(scenario.sleep, scenario.minimum)) {
      sleep(ring, scenario.sleep);
    }
  }
  if (seen < scenario.read_before) {
    model::require(seen == scenario.bytes, "reader: bytes were lost");
  } else {
    wake(ring.leave());
  }
}

struct LoopArming : Arming<Hasty<ModelReader>> {
  std::uint64_t local_state() const { return this->known_state(); }
};

/// As an event loop reads: ShmConnection's announce and confirm, and armed twice before it sleeps, the second time
/// without a look between.
void read_in_loop(const Scenario& scenario) {
  Shared shared;
  Hasty<ModelReader> ring(shared.control, unused_memory.data(), scenario.capacity, scenario.asymmetric);
  LoopArming arming;
  for (std::uint64_t seen = 0;;) {
    model::checkpoint(ring.local_state() << 16 | arming.local_state());
    if (arming.stand_down(ring)) model::drain();
    std::span<const std::byte> view;
    const RingStatus status = ring.peek(1, view);
    if (status == RingStatus::ok) {
      for (std::size_t i = 0; i < view.size(); ++i)
        model::require(shared.bytes[(seen + i) % scenario.capacity].read() == seen + i + 1, "reader: a torn byte");
      seen += view.size();
      wake(ring.consume(view.size()));
      continue;
    }
    if (status == RingStatus::ended) return model::require(seen == scenario.bytes, "reader: bytes were lost");
    model::require(status == RingStatus::not_now, "reader: unexpected status");
    if (arming.came_to_nothing(ring)) model::drain();
    if (scenario.loop_settles_early) ring.settle();
    ring.announce(Wake::polling, 1);
    if (!scenario.loop_settles_early) ring.settle();
    if (!ring.confirm(1)) continue;
    arming.note(ring);
    if (!scenario.loop_drains_late) model::drain();
    if (!arming.stands(ring)) continue;
    if (scenario.loop_drains_late) model::drain();
    model::sleep_until_raised();
  }
}

model::Outcome explore(const Scenario& scenario, const model::Mutation& mutation = {}) {
  const auto read = [&] { scenario.reader_is_a_loop ? read_in_loop(scenario) : read_all(scenario); };
  return model::Explorer({[&] { write_all(scenario); }, read}, mutation).explore();
}

void check(const Scenario& scenario) {
  CAPTURE(scenario.asymmetric);
  CAPTURE(static_cast<int>(scenario.sleep));
  CAPTURE(scenario.capacity);
  CAPTURE(scenario.bytes);
  const model::Outcome outcome = explore(scenario);
  CHECK(outcome.problem == "");
  CHECK(outcome.states > 10'000);  // it went somewhere
}

}  // namespace

TEST_CASE("no interleaving loses a byte or a wake-up") {
  const std::array scenarios{
      Scenario{.asymmetric = true, .sleep = Wake::blocked, .capacity = 2, .bytes = 2},
      Scenario{.asymmetric = true, .sleep = Wake::polling, .capacity = 2, .bytes = 2},
      Scenario{.asymmetric = true, .sleep = Wake::blocked, .capacity = 1, .bytes = 3, .read_before = 1},
      Scenario{.asymmetric = true, .sleep = Wake::polling, .capacity = 1, .bytes = 3, .read_before = 1},
      Scenario{.asymmetric = true, .sleep = Wake::blocked, .capacity = 2, .bytes = 3, .together_at = 0},
      Scenario{.asymmetric = true, .sleep = Wake::blocked, .capacity = 2, .bytes = 2, .pace = Pace::exchanging},
      Scenario{.asymmetric = false, .sleep = Wake::blocked, .capacity = 1, .bytes = 2},
      Scenario{.asymmetric = false, .sleep = Wake::polling, .capacity = 1, .bytes = 2},
      Scenario{.asymmetric = false, .sleep = Wake::blocked, .capacity = 2, .bytes = 4, .minimum = 2},
      Scenario{.asymmetric = false, .sleep = Wake::polling, .capacity = 1, .bytes = 3, .read_before = 1},
      Scenario{.asymmetric = true, .sleep = Wake::polling, .capacity = 2, .bytes = 2, .reader_is_a_loop = true},
      Scenario{.asymmetric = true, .sleep = Wake::polling, .capacity = 1, .bytes = 2, .reader_is_a_loop = true},
      Scenario{.asymmetric = false, .sleep = Wake::polling, .capacity = 2, .bytes = 2, .reader_is_a_loop = true},
  };
  for (const Scenario& scenario : scenarios) check(scenario);
}

// Some ten minutes: for scripts/release-check.
TEST_CASE("no interleaving of longer runs loses a byte or a wake-up" * doctest::skip()) {
  for (const bool asymmetric : {true, false}) {
    for (const Wake kind : {Wake::blocked, Wake::polling}) {
      check({.asymmetric = asymmetric, .sleep = kind, .capacity = 1, .bytes = 3});
      check({.asymmetric = asymmetric, .sleep = kind, .capacity = 2, .bytes = 4, .minimum = 2});
      check({.asymmetric = asymmetric, .sleep = kind, .capacity = 2, .bytes = 4, .read_before = 2});
    }
    check({.asymmetric = asymmetric, .sleep = Wake::polling, .capacity = 1, .bytes = 3, .reader_is_a_loop = true});
    check({.asymmetric = asymmetric, .capacity = 2, .bytes = 4, .together_at = 1});
  }
}

TEST_CASE("the exploration finds what is wrong without any one of the protocol's parts") {
  using model::Action;
  struct Case {
    const char* what;
    Scenario scenario;
    Action action;  // the part taken out
    int location;   // -1: any
    std::memory_order weakened;
    const char* found;
  };
  const Scenario asymmetric{.asymmetric = true, .capacity = 1, .bytes = 2};
  const Scenario symmetric{.asymmetric = false, .capacity = 1, .bytes = 2};
  const Scenario spinning{.asymmetric = true, .capacity = 2, .bytes = 2, .reader_sleeps = false};
  const Scenario leaving{.asymmetric = false, .capacity = 1, .bytes = 3, .read_before = 1};
  const Scenario exchanging{.asymmetric = true, .capacity = 1, .bytes = 2, .pace = Pace::exchanging};
  const Scenario fencing{.asymmetric = true, .capacity = 2, .bytes = 3, .together_at = 0};
  constexpr auto relaxed = std::memory_order_relaxed;
  constexpr auto release = std::memory_order_release;
  constexpr auto acquire = std::memory_order_acquire;
  const Case cases[] = {
      {"the sleeper's barrier", asymmetric, Action::heavy_barrier, -1, relaxed, "lost wake-up"},
      {"the publisher's barrier", asymmetric, Action::light_barrier, -1, relaxed, "lost wake-up"},
      {"release of the tail", asymmetric, Action::store, tail, relaxed, "data race on the ring's bytes"},
      {"acquire of the tail", asymmetric, Action::load, tail, relaxed, "data race on the ring's bytes"},
      {"release of the head", asymmetric, Action::store, head, relaxed, "data race on the ring's bytes"},
      {"acquire of the head", asymmetric, Action::load, head, relaxed, "data race on the ring's bytes"},
      {"release of the end", spinning, Action::store, ended, relaxed, "bytes left behind at the end"},
      {"acquire of the end", spinning, Action::load, ended, relaxed, "bytes left behind at the end"},
      {"order of the tail before the look", symmetric, Action::store, tail, release, "lost wake-up"},
      {"order of the second look at the tail", symmetric, Action::load, tail, acquire, "lost wake-up"},
      {"order of an exchange's tail before the look", exchanging, Action::store, tail, release, "lost wake-up"},
      {"order of the head before the look", symmetric, Action::store, head, release, "lost wake-up"},
      {"order of the second look at the head", symmetric, Action::load, head, acquire, "lost wake-up"},
      {"order of the end before the look", symmetric, Action::store, ended, release, "lost wake-up"},
      {"order of leaving before the look", leaving, Action::store, gone, release, "lost wake-up"},
      {"order of the last fence before a look", fencing, Action::store, writer_fences, release, "lost wake-up"},
      {"order of the look for fences", fencing, Action::load, writer_fences, acquire, "lost wake-up"},
      {"order of the reader's announcement", symmetric, Action::store, reader_kind, release, "lost wake-up"},
      {"order of the look for the reader", symmetric, Action::load, reader_kind, acquire, "lost wake-up"},
      {"order of the writer's announcement", symmetric, Action::store, writer_kind, release, "lost wake-up"},
      {"order of the look for the writer", symmetric, Action::load, writer_kind, acquire, "lost wake-up"},
  };
  for (const Case& broken : cases) {
    CAPTURE(broken.what);
    const auto mutation = [&](std::size_t, model::Operation& operation) {
      const bool concerned = operation.action == broken.action &&
                             (broken.location < 0 || operation.location == broken.location) &&
                             operation.order != relaxed;
      if (!concerned) return;
      operation.order = broken.weakened;
      if (broken.location < 0) operation.action = Action::nothing;
    };
    CHECK(explore(broken.scenario, mutation).problem == broken.found);
  }
  Scenario loop = asymmetric;
  loop.sleep = Wake::polling;
  loop.reader_is_a_loop = true;
  loop.loop_settles_early = true;
  CHECK(explore(loop).problem == "lost wake-up");
  loop.loop_settles_early = false;
  loop.loop_drains_late = true;
  CHECK(explore(loop).problem == "lost wake-up");
  Scenario hasty = asymmetric;
  hasty.reader_looks_again = false;
  CHECK(explore(hasty).problem == "lost wake-up");
  hasty = asymmetric;
  hasty.writer_looks_again = false;
  CHECK(explore(hasty).problem == "lost wake-up");
}

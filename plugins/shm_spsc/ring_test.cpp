// The two halves of a ring against each other, against a hostile other side, and in two threads that sleep.
#include "ring.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "ring_test_system.hpp"

namespace {

using namespace ferry::shm_spsc;

const std::size_t capacity = smallest_capacity;

/// A ring in memory of this process, mapped twice in a row.
class TestRing {
 public:
  explicit TestRing(bool asymmetric = false, std::size_t size = capacity)
      : asymmetric_(asymmetric), size_(size), memory_(size) {
    if (asymmetric) REQUIRE(can_fence_own_threads());
  }

  RingWriter<> writer() { return {*control_, memory_.data(), size_, asymmetric_}; }
  RingReader<> reader() { return {*control_, memory_.data(), size_, asymmetric_}; }
  RingControl& control() { return *control_; }

 private:
  bool asymmetric_;
  std::size_t size_;
  TwiceMapped memory_;
  std::unique_ptr<RingControl> control_ = std::make_unique<RingControl>();
};

/// Writes `size` bytes that count on from `first`, and publishes them.
Wake put(RingWriter<>& writer, std::size_t size, std::uint8_t first = 0) {
  std::span<std::byte> room;
  REQUIRE(writer.reserve(size, room) == RingStatus::ok);
  for (std::size_t i = 0; i < size; ++i) room[i] = static_cast<std::byte>(first + i);
  writer.fill(size);
  return writer.publish();
}

/// Takes and checks `size` bytes.
Wake take(RingReader<>& reader, std::size_t size, std::uint8_t first = 0) {
  std::span<const std::byte> view;
  REQUIRE(reader.peek(size, view) == RingStatus::ok);
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < size; ++i) wrong += view[i] != static_cast<std::byte>(first + i);
  CHECK(wrong == 0);
  return reader.consume(size);
}

}  // namespace

TEST_CASE("views are contiguous wherever the ring's end lies") {
  TestRing ring;
  RingWriter writer = ring.writer();
  RingReader reader = ring.reader();
  for (std::uint8_t i = 0; i < 50; ++i) {
    CHECK(put(writer, 1000, i) == Wake::nobody);
    CHECK(take(reader, 1000, i) == Wake::nobody);
  }
}

TEST_CASE("the room is all that is free, and nothing shows before it is published") {
  TestRing ring;
  RingWriter writer = ring.writer();
  RingReader reader = ring.reader();
  std::span<std::byte> room;
  std::span<const std::byte> view;
  CHECK(writer.reserve(capacity, room) == RingStatus::ok);
  CHECK(room.size() == capacity);
  writer.fill(100);
  CHECK(writer.unpublished() == 100);
  CHECK(reader.peek(1, view) == RingStatus::not_now);
  CHECK(writer.reserve(capacity - 100, room) == RingStatus::ok);
  CHECK(writer.reserve(capacity - 99, room) == RingStatus::not_now);
  CHECK(writer.publish() == Wake::nobody);
  CHECK(reader.peek(1, view) == RingStatus::ok);
  CHECK(view.size() == 100);
  CHECK(reader.peek(101, view) == RingStatus::not_now);
  CHECK(reader.consume(60) == Wake::nobody);
  CHECK(writer.reserve(capacity - 40, room) == RingStatus::ok);
  CHECK(room.size() == capacity - 40);
}

TEST_CASE("a publish shows what it fills and what was held back before it") {
  TestRing ring;
  RingWriter writer = ring.writer();
  RingReader reader = ring.reader();
  std::span<const std::byte> view;
  writer.fill(100);
  CHECK(writer.publish(60) == Wake::nobody);
  CHECK(writer.unpublished() == 0);
  CHECK(reader.peek(160, view) == RingStatus::ok);
  CHECK(writer.publish(8) == Wake::nobody);
  CHECK(writer.publish() == Wake::nobody);
  CHECK(writer.counters().publishes.value() == 2);
  CHECK(writer.position() == 168);
  CHECK(reader.consume(160) == Wake::nobody);
  CHECK(reader.peek(8, view) == RingStatus::ok);
  CHECK(view.size() == 8);
}

TEST_CASE("an end and a reset come after the bytes before them") {
  for (const std::uint32_t mark : {mark_ended, mark_reset}) {
    const RingStatus after = mark == mark_ended ? RingStatus::ended : RingStatus::reset;
    TestRing ring;
    RingWriter writer = ring.writer();
    RingReader reader = ring.reader();
    put(writer, 10);
    CHECK(writer.end(mark) == Wake::nobody);
    std::span<const std::byte> view;
    CHECK(reader.peek(11, view) == after);
    take(reader, 10);
    CHECK(reader.peek(1, view) == after);
    CHECK_FALSE(reader.arm(Wake::blocked, 1));
  }
}

TEST_CASE("a writer whose reader has left is told when it needs room") {
  TestRing ring;
  RingWriter writer = ring.writer();
  RingReader reader = ring.reader();
  put(writer, capacity);
  CHECK(writer.arm(Wake::polling, 1));
  CHECK(reader.leave() == Wake::polling);
  std::span<std::byte> room;
  CHECK(writer.reserve(1, room) == RingStatus::reset);
  CHECK_FALSE(writer.arm(Wake::polling, 1));
}

TEST_CASE("a sleeper is woken once, when there is what it asked for") {
  for (const bool asymmetric : {false, true}) {
    TestRing ring(asymmetric);
    RingWriter writer = ring.writer();
    RingReader reader = ring.reader();
    CHECK(reader.arm(Wake::blocked, 100));
    CHECK(put(writer, 99) == Wake::nobody);
    CHECK(put(writer, 1) == Wake::blocked);
    CHECK(put(writer, 1) == Wake::nobody);
    CHECK_FALSE(reader.arm(Wake::blocked, 1));
    CHECK(put(writer, capacity - 101) == Wake::nobody);

    CHECK(writer.arm(Wake::polling, 2048));
    CHECK(reader.consume(2047) == Wake::nobody);
    CHECK(reader.consume(1) == Wake::polling);
    CHECK(reader.consume(1) == Wake::nobody);
    CHECK(writer.counters().wakes.value() == 1);
    CHECK(reader.counters().wakes.value() == 1);
  }
}

TEST_CASE("who shows much at once fences then and for some steps more, and the other side sleeps without a barrier") {
  constexpr std::size_t much = SharedMachine::fence_pays_bytes;
  TestRing ring(true, 2 * much);
  RingWriter writer = ring.writer();
  RingReader reader = ring.reader();
  CHECK(reader.needs_barrier());
  put(writer, much);
  CHECK_FALSE(reader.needs_barrier());
  CHECK(writer.needs_barrier());
  take(reader, much);
  CHECK_FALSE(writer.needs_barrier());
  CHECK_FALSE(writer.is_plain(8));
  for (int step = 1; step < SharedMachine::small_steps_fenced; ++step) put(writer, 1);
  CHECK_FALSE(reader.needs_barrier());
  put(writer, 1);
  CHECK(reader.needs_barrier());
  CHECK_FALSE(TestRing(false).reader().needs_barrier());
}

TEST_CASE("who has woken the other side fences for some steps, since that is likely to sleep again") {
  TestRing ring(true);
  RingWriter writer = ring.writer();
  RingReader reader = ring.reader();
  CHECK(reader.arm(Wake::blocked, 1));
  CHECK(put(writer, 1) == Wake::blocked);
  CHECK(reader.needs_barrier());  // it says so before a step that fences, not after one that did not
  for (int step = 0; step < SharedMachine::small_steps_fenced; ++step) {
    CHECK(put(writer, 1) == Wake::nobody);
    CHECK_FALSE(reader.needs_barrier());
  }
  put(writer, 1);
  CHECK(reader.needs_barrier());
}

TEST_CASE("sixteen pieces cost one publish and one wake-up at most") {
  TestRing ring;
  RingWriter writer = ring.writer();
  RingReader reader = ring.reader();
  CHECK(reader.arm(Wake::blocked, 1));
  std::span<std::byte> room;
  for (int i = 0; i < 16; ++i) {
    CHECK(writer.reserve(64, room) == RingStatus::ok);
    writer.fill(64);
  }
  CHECK(writer.publish() == Wake::blocked);
  CHECK(writer.publish() == Wake::nobody);
  CHECK(writer.counters().publishes.value() == 1);
  CHECK(writer.counters().wakes.value() == 1);
}

TEST_CASE("a look says whether anything has come, and those in vain are counted until something is found") {
  TestRing ring;
  RingWriter writer = ring.writer();
  RingReader reader = ring.reader();
  std::span<const std::byte> view;
  CHECK(reader.looks_at_once());
  CHECK_FALSE(reader.brings_news(reader.look()));
  CHECK(reader.peek(1, view) == RingStatus::not_now);
  CHECK(reader.in_vain() == 2);
  CHECK(put(writer, 8, 5) == Wake::nobody);
  RingReader<>::Look look = reader.look();
  CHECK(reader.brings_news(look));
  CHECK_FALSE(reader.take(look.tail, 9, view));
  CHECK(reader.brings_news(reader.look()));  // not taken, it is still new
  CHECK(reader.peek(9, view) == RingStatus::not_now);
  CHECK_FALSE(reader.brings_news(reader.look()));  // nothing since
  CHECK(reader.in_vain() == 4);
  writer.fill(8);
  CHECK(writer.publish(0, Pace::exchanging) == Wake::nobody);
  look = reader.look();
  CHECK(reader.brings_news(look));
  CHECK_FALSE(reader.take(look.tail + capacity, 9, view));  // more than there can be
  CHECK_FALSE(reader.take(look.tail - 9, 9, view));         // less than was known
  CHECK(reader.take(look.tail, 9, view));
  CHECK(view.size() == 16);
  CHECK(view[0] == std::byte{5});
  CHECK(reader.in_vain() == 0);
  CHECK(reader.came_late());
  CHECK(reader.consume(16) == Wake::nobody);
  CHECK(writer.end(mark_ended) == Wake::nobody);
  look = reader.look();
  CHECK(reader.brings_news(look));
  CHECK_FALSE(reader.take(look.tail, 1, view));
  CHECK(reader.peek(1, view) == RingStatus::ended);
}

TEST_CASE("what is published first after a wait answers it, where that matters") {
  Exchange exchange(true);
  CHECK(exchange.pace() == Pace::streaming);
  exchange.found(false);
  CHECK_FALSE(exchange.has_waited());
  exchange.found(true);
  exchange.found(true);
  CHECK(exchange.has_waited());
  CHECK(exchange.pace() == Pace::exchanging);
  CHECK(exchange.pace() == Pace::streaming);
  Exchange indifferent(false);
  indifferent.found(true);
  CHECK(indifferent.pace() == Pace::streaming);
}

TEST_CASE("a publish is plain unless something was held or its sleepers need a fence") {
  TestRing ring(true);
  RingWriter writer = ring.writer();
  RingReader reader = ring.reader();
  CHECK(writer.is_plain(8));
  writer.fill(8);
  CHECK_FALSE(writer.is_plain(8));
  CHECK(writer.publish(8) == Wake::nobody);
  CHECK(writer.is_plain(8));
  CHECK_FALSE(writer.publish_plainly(8));
  std::span<const std::byte> view;
  CHECK(reader.peek(24, view) == RingStatus::ok);
  CHECK(reader.consume(24) == Wake::nobody);
  CHECK(reader.arm(Wake::blocked, 8));
  CHECK(writer.publish_plainly(8));
  CHECK(writer.take_reader() == Wake::blocked);
  CHECK_FALSE(writer.is_plain(8));
  CHECK(writer.counters().publishes.value() == 3);

  TestRing fenced;
  CHECK_FALSE(fenced.writer().is_plain(8));
}

namespace {
struct CountingMachine {
  static inline int pauses = 0;
  static void relax() { ++pauses; }
};
/// Of `looks` that each find something after `in_vain` that did not: how many waited, where waiting finds `waited`.
int waits(Gathering<CountingMachine>& gathering, int looks, int in_vain, std::uint64_t waited) {
  int count = 0;
  for (int look = 0; look < looks; ++look) {
    const int before = CountingMachine::pauses;
    gathering.before_look();
    const bool has_waited = CountingMachine::pauses > before;
    for (int i = 0; i < in_vain; ++i) gathering.found_nothing();
    gathering.found(has_waited ? waited : 72);
    count += has_waited ? 1 : 0;
  }
  return count;
}
}  // namespace

TEST_CASE("a reader waits in a stream that waiting makes richer, and hardly ever otherwise") {
  Gathering<CountingMachine> gathering;
  CHECK(waits(gathering, 1000, 0, 7200) > 900);
  CHECK_FALSE(gathering.came_late());
  CHECK(waits(gathering, 100'000, 8, 72) < 300);  // a ping-pong, after that
  CHECK(gathering.came_late());
  CHECK(waits(gathering, 200'000, 0, 7200) > 100'000);
  CHECK(waits(gathering, 1000, 100, 72) < 50);  // it ends at once
  Gathering<CountingMachine> slow;
  CHECK(waits(slow, 1000, 100, 7200) == 0);
}

namespace {
/// The pauses before each of the last 2,000 of 20,000 looks, where `brings` says what the n-th finds after so many.
int pauses_in_the_end(std::uint64_t (*brings)(int pauses, int n)) {
  Gathering<CountingMachine> gathering;
  int sum = 0;
  for (int n = 0; n < 20'000; ++n) {
    CountingMachine::pauses = 0;
    gathering.before_look();
    gathering.found(brings(CountingMachine::pauses, n));
    if (n >= 18'000) sum += CountingMachine::pauses;
  }
  return sum / 2'000;
}
constexpr std::uint64_t waited(int pauses) { return 72 + static_cast<std::uint64_t>(pauses) * 50; }
}  // namespace

TEST_CASE("a reader waits longer where that makes the writer faster, and only while it does") {
  CHECK(pauses_in_the_end([](int pauses, int) { return pauses < 64 ? waited(pauses) : 8000; }) == 64);
  CHECK(pauses_in_the_end([](int pauses, int n) { return pauses < 64 || n < 10'000 ? waited(pauses) : 8000; }) == 64);
  CHECK(pauses_in_the_end([](int pauses, int n) { return pauses < 64 || n > 10'000 ? waited(pauses) : 8000; }) <= 17);
  CHECK(pauses_in_the_end([](int pauses, int) { return waited(pauses); }) <= 17);
  CHECK(pauses_in_the_end([](int pauses, int) -> std::uint64_t {
          return pauses == 0 ? 72 : pauses < 64 ? 4096 : 80'000;
        }) == 16);
  const int where_it_brings_nothing =
      pauses_in_the_end([](int pauses, int) { return waited(pauses < 64 ? pauses : 0); });
  CHECK(where_it_brings_nothing >= 16);
  CHECK(where_it_brings_nothing <= 17);
}

TEST_CASE("a position that the other side cannot have come to is corrupt, and addresses nothing") {
  const std::uint64_t impossible[] = {capacity + 9, 0, 7, ~std::uint64_t{0}, std::uint64_t{1} << 63};
  for (const std::uint64_t position : impossible) {
    CAPTURE(position);
    TestRing ring;
    RingWriter writer = ring.writer();
    RingReader reader = ring.reader();
    put(writer, 8);
    take(reader, 8);
    std::span<std::byte> room;
    CHECK(writer.reserve(capacity, room) == RingStatus::ok);  // has seen head 8
    ring.control().tail.store(position);
    std::span<const std::byte> view;
    CHECK(reader.peek(1, view) == RingStatus::corrupt);
    ring.control().head.store(position);
    CHECK(put(writer, capacity) == Wake::nobody);
    CHECK(writer.reserve(1, room) == RingStatus::corrupt);
  }
}

TEST_CASE("whatever stands in a sleeper's line costs its owner wake-ups and nobody else anything") {
  TestRing ring;
  RingWriter writer = ring.writer();
  ring.control().reader.position.store(~std::uint64_t{0});
  ring.control().reader.kind.store(77);
  CHECK(put(writer, 8) == Wake::polling);
  ring.control().reader.position.store(std::uint64_t{1} << 62);
  ring.control().reader.kind.store(1);
  CHECK(put(writer, 8) == Wake::nobody);
}

namespace {

/// Sends numbers in bursts of changing size, each side sleeping whenever it finds nothing: a wake-up lost is a hang.
void run_threads(bool asymmetric, std::uint64_t count) {
  TestRing ring(asymmetric);
  RingControl& control = ring.control();
  Bed readers, writers;
  const auto wake = [](Bed& bed, std::atomic<std::uint32_t>& word, Wake whom) {
    if (whom != Wake::nobody) bed.wake(word);
  };
  const auto sleep = [](Bed& bed, auto& half, std::uint64_t wanted) {
    if (half.arm(Wake::blocked, wanted)) bed.sleep(half.sleep_word(), static_cast<std::uint32_t>(Wake::blocked));
    half.disarm();
  };
  std::thread producer([&] {
    RingWriter writer = ring.writer();
    for (std::uint64_t next = 0; next < count;) {
      const std::uint64_t burst = 8 * (1 + next % 97);
      std::span<std::byte> room;
      if (writer.reserve(burst, room) == RingStatus::not_now) {
        sleep(writers, writer, burst);
        continue;
      }
      for (std::uint64_t at = 0; at < burst; at += 8, ++next) std::memcpy(room.data() + at, &next, 8);
      writer.fill(burst);
      wake(readers, control.reader.kind, writer.publish());
    }
    wake(readers, control.reader.kind, writer.end(mark_ended));
  });
  RingReader reader = ring.reader();
  std::uint64_t expected = 0;
  std::uint64_t wrong = 0;
  for (RingStatus status = RingStatus::ok; status != RingStatus::ended;) {
    std::span<const std::byte> view;
    status = reader.peek(8, view);
    if (status == RingStatus::not_now) sleep(readers, reader, 8 * (1 + expected % 61));
    if (status != RingStatus::ok) continue;
    for (std::size_t at = 0; at + 8 <= view.size(); at += 8, ++expected) {
      std::uint64_t number = 0;
      std::memcpy(&number, view.data() + at, 8);
      wrong += number != expected;
    }
    wake(writers, control.writer.kind, reader.consume(view.size()));
  }
  producer.join();
  CHECK(wrong == 0);
  CHECK(expected >= count);
  CHECK(reader.counters().sleeps.value() > 0);
}

}  // namespace

TEST_CASE("two threads that sleep at every turn lose no byte and no wake-up, with barriers of the sleeper") {
  run_threads(true, 2'000'000);
}

TEST_CASE("two threads that sleep at every turn lose no byte and no wake-up, with sequentially consistent accesses") {
  run_threads(false, 2'000'000);
}

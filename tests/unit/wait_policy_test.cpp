// The wait policy on a machine whose clock and processor the test controls.
#include "ferry/wait_policy.hpp"

#include <doctest/doctest.h>

#include <utility>

using namespace ferry;
using Mode = WaitPolicy::Mode;

namespace {

/// Time passes only in attempts and yields. Two spinning processes on an idle machine, unless told otherwise.
struct Machine {
  std::int64_t now = 1'000'000'000;
  std::int64_t attempt_ns = 250;
  std::int64_t yield_ns = 300;
  std::uint32_t yields = 0;
  std::uint32_t looks = 0;
  std::uint32_t attempts = 0;
  std::uint32_t relaxed = 0;
  std::uint32_t relaxed_briefly = 0;

  std::int64_t now_ns() {
    ++looks;
    return now;
  }
  void yield() {
    ++yields;
    now += yield_ns;
  }
  void relax() { ++relaxed; }
  void relax_briefly() { ++relaxed_briefly; }

  /// One wait that ends `after_ns` from now; as Connection does it. Returns whether it was spun through.
  bool wait(WaitPolicy& policy, std::int64_t after_ns, std::int64_t deadline = FERRY_FOREVER) {
    const std::int64_t ready = now + after_ns;
    const auto attempt = [&] {
      ++attempts;
      now += attempt_ns;
      return now >= ready;
    };
    if (!policy.sleeps_at_once() && (attempt() || policy.spin_on(*this, deadline, attempt))) return true;
    now = std::max(now, ready);
    return false;
  }
};

}  // namespace

TEST_CASE("off neither attempts nor looks at the clock") {
  Machine machine;
  WaitPolicy policy(Mode::off, 0);
  CHECK_FALSE(machine.wait(policy, 1000));
  CHECK(machine.attempts == 0);
  CHECK(machine.looks == 0);
}

TEST_CASE("a bound is kept to within a look at the clock, wait after wait") {
  Machine machine;
  WaitPolicy policy(Mode::bounded, 20'000);
  CHECK(machine.wait(policy, 15'000));
  for (int i = 0; i < 10; ++i) {
    const std::uint32_t before = machine.attempts;
    CHECK_FALSE(machine.wait(policy, 1'000'000));
    const std::int64_t spun = (machine.attempts - before) * machine.attempt_ns;
    CHECK(spun >= 20'000);
    CHECK(spun <= 22'000);
  }
  CHECK(machine.yields == 0);
}

TEST_CASE("a wait begins with brief attempts when the last one was short") {
  Machine machine;
  machine.attempt_ns = 10;
  WaitPolicy policy(Mode::bounded, 20'000);
  const auto relaxed_in = [&](std::int64_t wait_ns) {
    machine.relaxed = machine.relaxed_briefly = 0;
    CHECK(machine.wait(policy, wait_ns));
    return std::pair(machine.relaxed, machine.relaxed_briefly);
  };
  CHECK_FALSE(machine.wait(policy, 1'000'000));  // learns how long an attempt takes
  using Counts = std::pair<std::uint32_t, std::uint32_t>;
  CHECK(relaxed_in(100) == Counts(9, 0));
  CHECK(relaxed_in(90) == Counts(8, 0));
  CHECK(relaxed_in(170) == Counts(0, 16));
  CHECK(relaxed_in(180) == Counts(1, 16));
  CHECK(relaxed_in(1000) == Counts(83, 16));
  CHECK(relaxed_in(180) == Counts(17, 0));
}

TEST_CASE("a deadline ends the spin early") {
  Machine machine;
  WaitPolicy policy(Mode::bounded, 1'000'000);
  CHECK_FALSE(machine.wait(policy, 900'000, machine.now + 10'000));
  CHECK(machine.attempts < 50);
}

TEST_CASE("auto spins through short waits without end and yields to nobody in the shortest") {
  Machine machine;
  WaitPolicy policy;
  for (int i = 0; i < 5000; ++i) CHECK(machine.wait(policy, 900));
  CHECK(machine.yields == 0);
  for (int i = 0; i < 5000; ++i) CHECK(machine.wait(policy, 30'000));
  CHECK(machine.yields > 0);
}

TEST_CASE("auto looks at the clock about every four microseconds, whatever an attempt costs") {
  for (const std::int64_t attempt_ns : {5, 50, 250, 2000}) {
    Machine machine;
    machine.attempt_ns = attempt_ns;
    machine.yield_ns = 0;
    WaitPolicy policy;
    for (int i = 0; i < 20; ++i) machine.wait(policy, 90'000);
    const std::uint32_t before = machine.looks;
    CHECK(machine.wait(policy, 80'000));
    CHECK(machine.looks - before >= 10);
    CHECK(machine.looks - before <= 45);
  }
}

TEST_CASE("auto gives up on long waits, costs little then, and comes back when they get short") {
  Machine machine;
  WaitPolicy policy;
  std::uint32_t attempts = 0;
  for (int i = 0; i < 2000; ++i) {
    if (i == 1000) attempts = machine.attempts;
    CHECK_FALSE(machine.wait(policy, 1'000'000));
  }
  const std::int64_t spun_ns = (machine.attempts - attempts) * machine.attempt_ns;
  CHECK(spun_ns < 1000 * 1'000'000 / 200);  // half a percent of the time waited
  int asleep = 0;
  while (!machine.wait(policy, 5'000)) ++asleep;
  CHECK(asleep <= 64);
  for (int i = 0; i < 100; ++i) CHECK(machine.wait(policy, 5'000));
}

TEST_CASE("one long wait between bursts of short ones does not put the next burst to sleep") {
  Machine machine;
  WaitPolicy policy;
  for (int burst = 0; burst < 50; ++burst) {
    for (int i = 0; i < 20; ++i) CHECK(machine.wait(policy, 3'000));
    CHECK_FALSE(machine.wait(policy, 50'000'000));
  }
}

TEST_CASE("auto gives the processor up when somebody else needs it") {
  Machine machine;
  machine.yield_ns = 3'000'000;  // another process runs for its time slice
  WaitPolicy policy;
  std::uint32_t spun = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint32_t before = machine.attempts;
    machine.wait(policy, 2'000'000);
    spun += machine.attempts - before;
  }
  CHECK(spun * machine.attempt_ns < 20'000 * 1'000);  // under a microsecond for each wait
  CHECK(machine.yields < 40);
}

TEST_CASE("being preempted inside the spin counts as contention as well") {
  Machine machine;
  WaitPolicy policy;
  machine.attempt_ns = 60'000;
  machine.wait(policy, 10'000'000);
  int asleep = 0;
  machine.attempt_ns = 250;
  while (!machine.wait(policy, 1'000)) ++asleep;
  CHECK(asleep == 8);
}

TEST_CASE("contention is forgotten after a calm time") {
  Machine machine;
  WaitPolicy policy;
  const auto sleeps_after_contention = [&] {
    machine.yield_ns = 3'000'000;
    machine.wait(policy, 2'000'000);
    machine.yield_ns = 300;
    int asleep = 0;
    while (!machine.wait(policy, 1'000)) ++asleep;
    return asleep;
  };
  CHECK(sleeps_after_contention() == 8);
  CHECK(sleeps_after_contention() == 16);
  CHECK(sleeps_after_contention() == 32);
  for (int i = 0; i < 1100; ++i) CHECK(machine.wait(policy, 1'000));
  CHECK(sleeps_after_contention() == 8);
}

TEST_CASE("the option's text is off, auto or a bound") {
  WaitPolicy policy;
  std::string problem;
  CHECK(WaitPolicy::parse("off", policy, problem));
  CHECK(policy.mode() == Mode::off);
  CHECK(WaitPolicy::parse("20us", policy, problem));
  CHECK(policy.mode() == Mode::bounded);
  CHECK(policy.bound_ns() == 20'000);
  CHECK(WaitPolicy::parse("auto", policy, problem));
  CHECK(policy.mode() == Mode::automatic);
  CHECK(WaitPolicy::parse("0us", policy, problem));
  CHECK(policy.mode() == Mode::off);
  for (const char* text : {"", "20", "on", "2h", "-1us"}) {
    problem.clear();
    CHECK_FALSE(WaitPolicy::parse(text, policy, problem));
    CHECK_FALSE(problem.empty());
  }
}

#include "ferry/sdk/interrupt.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <barrier>
#include <string>

#include "ferry/sdk/poll_wait.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "support/raw_transport.hpp"

using namespace ferry;
using namespace ferry::plugin;
using ferry::test::Sleeper;
using ferry::test::soon;

namespace {

/// A pipe in which nothing is written: its read end never gets ready.
struct Silence {
  Silence() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  UniqueFd read;
  UniqueFd write;
};

}  // namespace

TEST_CASE("an interrupt costs no descriptor until somebody sleeps") {
  const int before = ferry::test::count_fds();
  Interrupt interrupt;
  interrupt.raise();
  CHECK(ferry::test::count_fds() == before);
  CHECK(interrupt.descriptor() == Interrupt::raised);
}

TEST_CASE("an interrupt raised before the sleep, or twice, ends every later sleep at once") {
  Silence silence;
  Interrupt interrupt;
  interrupt.raise();
  interrupt.raise();
  CHECK(wait_ready(silence.read.get(), POLLIN, FERRY_FOREVER, interrupt) == FERRY_INTERRUPTED);
  CHECK(wait_ready(silence.read.get(), POLLIN, FERRY_FOREVER, interrupt) == FERRY_INTERRUPTED);
  CHECK(wait_ready(silence.write.get(), POLLOUT, FERRY_NO_WAIT, interrupt) == FERRY_WOULD_BLOCK);
}

TEST_CASE("an interrupt wakes the reader and the writer that sleep, for good") {
  Silence silence;
  Interrupt interrupt;
  ferry_status first = FERRY_OK;
  ferry_status second = FERRY_OK;
  Sleeper reader([&] { first = wait_ready(silence.read.get(), POLLIN, soon(), interrupt); });
  Sleeper writer([&] { second = wait_ready(silence.read.get(), POLLIN, soon(), interrupt); });
  reader.until_asleep();
  writer.until_asleep();
  interrupt.raise();
  reader.join();
  writer.join();
  CHECK(first == FERRY_INTERRUPTED);
  CHECK(second == FERRY_INTERRUPTED);
  CHECK(wait_ready(silence.read.get(), POLLIN, soon(), interrupt) == FERRY_INTERRUPTED);
}

TEST_CASE("no wake-up is lost when the interrupt and the first sleeps come at the same moment") {
  constexpr int rounds = 2000;
  Silence silence;
  std::barrier<> line(3);
  std::unique_ptr<Interrupt> interrupt;
  int lost = 0;
  std::mutex mutex;
  const auto sleep = [&] {
    for (int round = 0; round < rounds; ++round) {
      line.arrive_and_wait();
      const ferry_status status = wait_ready(silence.read.get(), POLLIN, soon(), *interrupt);
      if (status != FERRY_INTERRUPTED) {
        const std::lock_guard lock(mutex);
        ++lost;
      }
      line.arrive_and_wait();
    }
  };
  std::thread reader(sleep);
  std::thread writer(sleep);
  for (int round = 0; round < rounds; ++round) {
    interrupt = std::make_unique<Interrupt>();
    line.arrive_and_wait();
    interrupt->raise();
    line.arrive_and_wait();
  }
  reader.join();
  writer.join();
  CHECK(lost == 0);
}

TEST_CASE("a process without descriptors left can still be interrupted") {
  Silence silence;
  Interrupt interrupt;
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{3, before.rlim_max};  // standard input, output and error have them; poll itself wants a few
  ferry_status status = FERRY_OK;
  std::atomic<bool> starved{false};
  std::thread sleeper([&] {
    while (!starved) std::this_thread::yield();
    status = wait_ready(silence.read.get(), POLLIN, soon(), interrupt);
  });
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  CHECK(interrupt.descriptor() == Interrupt::none);
  starved = true;
  interrupt.raise();
  sleeper.join();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(status == FERRY_INTERRUPTED);
}

TEST_CASE("readiness wins over an interrupt, and a deadline over silence") {
  Silence silence;
  Interrupt interrupt;
  REQUIRE(interrupt.descriptor() >= 0);
  interrupt.raise();
  REQUIRE(::write(silence.write.get(), "x", 1) == 1);
  CHECK(wait_ready(silence.read.get(), POLLIN, soon(), interrupt) == FERRY_OK);

  Silence other;
  Interrupt calm;
  const std::int64_t deadline = ferry::test::in_ms(20);
  CHECK(wait_ready(other.read.get(), POLLIN, deadline, calm) == FERRY_TIMED_OUT);
  CHECK(monotonic_ns() >= deadline);
  CHECK(wait_ready(other.read.get(), POLLIN, 1, calm) == FERRY_TIMED_OUT);
}

// What crosses between an application's threads and the engine: bytes, and wake-ups. Runs under the thread sanitizer.
#include <doctest/doctest.h>
#include <poll.h>

#include <array>
#include <cstring>
#include <thread>
#include <vector>

#include "ferry/sdk/poll_wait.hpp"
#include "quic_queue.hpp"
#include "quic_wakeup.hpp"

using namespace ferry::quic;

namespace {

std::uint8_t byte_at(std::uint64_t position) {
  return static_cast<std::uint8_t>((position * 0x9e3779b97f4a7c15ull) >> 40);
}

std::int64_t soon() { return ferry::plugin::monotonic_ns() + 10'000'000'000; }

}  // namespace

TEST_CASE("bytes go through a queue in order, and a second reader of its chunks sees them until they are released") {
  ChunkPool pool;
  ByteQueue queue(pool);
  constexpr std::uint64_t total = 2'000'000;
  constexpr std::uint64_t window = 100'000;
  std::thread producer([&] {
    std::array<std::uint8_t, 5000> piece;
    for (std::uint64_t at = 0; at < total;) {
      const std::size_t size = static_cast<std::size_t>(std::min<std::uint64_t>(1 + at % piece.size(), total - at));
      if (queue.tail() + size - queue.released() > window) {
        std::this_thread::yield();
        continue;
      }
      for (std::size_t i = 0; i < size; ++i) piece[i] = byte_at(at + i);
      queue.append(piece.data(), size);
      queue.publish();
      at += size;
    }
  });
  ByteQueue::Cursor sent(queue);
  std::uint64_t wrong = 0;
  while (queue.released() < total) {
    std::array<std::span<const std::uint8_t>, 4> pieces;
    const std::uint64_t start = sent.position();
    const std::size_t count = sent.gather(pieces, 7000);
    std::uint64_t at = start;
    for (std::size_t i = 0; i < count; ++i) {
      for (const std::uint8_t byte : pieces[i]) wrong += byte == byte_at(at++) ? 0u : 1u;
    }
    sent.advance(static_cast<std::size_t>(at - start));
    const std::uint64_t unreleased = sent.position() - queue.released();
    if (unreleased > 3000 || sent.position() == total) queue.release(static_cast<std::size_t>(unreleased));
    if (count == 0) std::this_thread::yield();
  }
  producer.join();
  CHECK(wrong == 0);
  CHECK(sent.position() == total);
}

TEST_CASE("no wake-up is lost, whether the waiter sleeps or polls") {
  constexpr int rounds = 4000;
  Wakeup wakeup;
  std::atomic<int> published{0};
  std::atomic<int> taken{0};
  std::thread notifier([&] {
    for (int round = 1; round <= rounds; ++round) {
      while (taken.load(std::memory_order_acquire) != round - 1) std::this_thread::yield();
      published.store(round, std::memory_order_seq_cst);
      wakeup.notify();
    }
  });
  int late = 0;
  for (int round = 1; round <= rounds; ++round) {
    while (published.load(std::memory_order_seq_cst) != round) {
      if (round % 2 == 0) {
        wakeup.prepare_sleep();
      } else {
        REQUIRE(wakeup.arm());
      }
      if (published.load(std::memory_order_seq_cst) == round) {
        wakeup.disarm();
        break;
      }
      const std::int64_t deadline = soon();
      if (round % 2 == 0) {
        wakeup.sleep(deadline);
      } else {
        pollfd entry{wakeup.descriptor(), POLLIN, 0};
        (void)ferry::plugin::poll_until(&entry, 1, deadline);
      }
      late += ferry::plugin::monotonic_ns() >= deadline ? 1 : 0;
    }
    taken.store(round, std::memory_order_release);
  }
  notifier.join();
  CHECK(late == 0);
}

TEST_CASE("an eventfd that fired is empty again once its waiter has armed anew") {
  Wakeup wakeup;
  for (int round = 0; round < 3; ++round) {
    REQUIRE(wakeup.arm());
    wakeup.notify();
    pollfd entry{wakeup.descriptor(), POLLIN, 0};
    CHECK(::poll(&entry, 1, 10000) == 1);
    REQUIRE(wakeup.arm());
    CHECK(::poll(&entry, 1, 0) == 0);
    wakeup.disarm();
  }
}

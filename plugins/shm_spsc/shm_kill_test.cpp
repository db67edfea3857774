// Processes killed at every step of the ring, and by the thousand at any moment: what they had published arrives whole,
// their end is told, and everything they held comes back.
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

#include "ferry/sdk/poll_wait.hpp"
#include "ring.hpp"
#include "shm_test_support.hpp"

using namespace ferry;
using namespace ferry::test;
using namespace ferry::shm_spsc;

namespace {

/// Steps until this process kills itself.
int steps_left = 0;
void step() noexcept {
  if (--steps_left == 0) ::raise(SIGKILL);
}

/// The shared machine, with a chance to die before every access to shared memory and at every barrier.
struct DyingMachine {
  template <class T>
  class Atomic {
   public:
    T load(std::memory_order order) const noexcept { return step(), value_.load(order); }
    void store(T value, std::memory_order order) noexcept { step(), value_.store(value, order); }
    T exchange(T value, std::memory_order order) noexcept { return step(), value_.exchange(value, order); }

   private:
    std::atomic<T> value_;
  };
  static constexpr std::uint64_t fence_pays_bytes = SharedMachine::fence_pays_bytes;
  static constexpr int small_steps_fenced = SharedMachine::small_steps_fenced;
  static void light_barrier() noexcept { step(); }
  static void heavy_barrier() noexcept { step(), SharedMachine::heavy_barrier(); }
  static void relax() noexcept {}
};
using DyingControl = RingControlOf<DyingMachine::Atomic>;
static_assert(sizeof(DyingControl) == sizeof(RingControl));

constexpr std::size_t frame_bytes = 32;  // divides the ring, so that none is ever written in two parts
constexpr int frames_of_a_writer = 4;
/// Frames that a child has published for certain. Shared with it, and outlives it.
std::atomic<int>& published() {
  static void* const page =
      ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(page != MAP_FAILED);
  return *static_cast<std::atomic<int>*>(page);
}

/// Writes frames one by one, each published by itself, with an announced sleep in between as a full ring would cause.
void write_and_die(const std::string& path, int steps) {
  Link link = dial_link(path);
  RingWriter<DyingMachine> writer(reinterpret_cast<DyingControl&>(link.segment.outgoing()),
                                  link.segment.outgoing_bytes(), link.segment.ring(), link.asymmetric);
  steps_left = steps;
  for (char frame = 'a'; frame < 'a' + frames_of_a_writer; ++frame) {
    std::span<std::byte> room;
    step();
    if (writer.reserve(frame_bytes, room) != RingStatus::ok) ::_exit(1);
    std::memset(room.data(), frame, frame_bytes / 2);
    step();  // half copied
    std::memset(room.data() + frame_bytes / 2, frame, frame_bytes / 2);
    step();  // copied and not published
    writer.fill(frame_bytes);
    const Wake wake = writer.publish();
    published() = frame - 'a' + 1;
    if (wake == Wake::polling) link.data.raise();
    step();  // published; the one that is to be woken was woken or not
    if (writer.arm(Wake::polling, link.segment.ring() / 4)) ::_exit(1);
  }
  if (writer.end(mark_ended) != Wake::nobody) link.data.raise();
}

/// Reads frames as they come, and sleeps as a blocked reader does, but for the sleep.
void read_and_die(const std::string& path, int steps) {
  Link link = dial_link(path);
  RingReader<DyingMachine> reader(reinterpret_cast<DyingControl&>(link.segment.incoming()),
                                  link.segment.incoming_bytes(), link.segment.ring(), link.asymmetric);
  std::span<const std::byte> view;
  while (reader.peek(frame_bytes, view) == RingStatus::not_now) ::usleep(50);
  steps_left = steps;
  for (int frame = 0; frame < 4; ++frame) {
    if (reader.peek(frame_bytes, view) != RingStatus::ok) ::_exit(1);
    if (reader.consume(frame_bytes) == Wake::polling) link.room.raise();
    step();
    if (reader.arm(Wake::blocked, 1)) ::_exit(1);
  }
  if (reader.leave() != Wake::nobody) link.room.raise();
}

/// Sleeps as an event loop does.
void sleep_until_ready(const RawConnection& connection, ferry_interest interest) {
  ferry_connection* const raw = connection.get();
  if (raw->ops->arm(raw, interest) != FERRY_ARMED) return;
  ferry_pollable pollable{};
  REQUIRE(raw->ops->pollable(raw, interest, &pollable) == FERRY_OK);
  pollfd entry{static_cast<int>(pollable.handle), POLLIN, 0};
  REQUIRE(::poll(&entry, 1, 20'000) == 1);
}

/// Everything that still comes, by an event loop's means; `status` is what ended it.
std::string read_to_the_end(const RawConnection& connection, std::int64_t& status) {
  std::string all;
  std::array<char, 65536> bytes;
  for (;;) {
    status = connection.read(bytes.data(), bytes.size(), FERRY_NO_WAIT);
    if (status == FERRY_WOULD_BLOCK) {
      sleep_until_ready(connection, FERRY_READ);
    } else if (status < 0) {
      return all;
    } else {
      all.append(bytes.data(), static_cast<std::size_t>(status));
    }
  }
}

int kills_wanted() {
  const char* const text = std::getenv("FERRY_KILLS");
  return text == nullptr ? 1000 : std::atoi(text);
}

std::uint64_t shared_memory_bytes() {
  std::ifstream file("/proc/meminfo");
  for (std::string name, unit; file >> name;) {
    std::uint64_t kib = 0;
    file >> kib;
    std::getline(file, unit);
    if (name == "Shmem:") return kib * 1024;
  }
  return 0;
}

}  // namespace

TEST_CASE("a writer killed at any step leaves whole frames and an end") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"ring", "64KiB"}});
  bool survived = false;
  for (int steps = 1; !survived; ++steps) {
    CAPTURE(steps);
    REQUIRE(steps < 500);
    published() = 0;
    Child child([&] { write_and_die(listener.address(), steps); });
    const RawConnection server = listener.accept();
    std::int64_t status = 0;
    const std::string all = read_to_the_end(server, status);
    const int end = child.join();
    survived = WIFEXITED(end);
    REQUIRE((survived ? WEXITSTATUS(end) == 0 : WTERMSIG(end) == SIGKILL));
    CHECK(all.size() % frame_bytes == 0);
    const std::size_t certain = static_cast<std::size_t>(published()) * frame_bytes;
    CHECK(all.size() >= certain);
    CHECK(all.size() <= certain + frame_bytes);  // it died between publishing one more and saying so
    for (std::size_t i = 0; i < all.size(); ++i) CHECK(all[i] == static_cast<char>('a' + i / frame_bytes));
    if (status != FERRY_RESET) CHECK(all.size() == frames_of_a_writer * frame_bytes);
    if (survived) CHECK(status == FERRY_END);
  }
}

TEST_CASE("a reader killed at any step is a reset for a writer that waits for it") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"ring", "64KiB"}});
  bool survived = false;
  for (int steps = 1; !survived; ++steps) {
    CAPTURE(steps);
    REQUIRE(steps < 500);
    Child child([&] { read_and_die(listener.address(), steps); });
    const RawConnection server = listener.accept();
    std::int64_t status = 0;
    while (status >= 0 || status == FERRY_WOULD_BLOCK) {
      status = server.write(std::string(65536, 'x'), FERRY_NO_WAIT);
      if (status == FERRY_WOULD_BLOCK) sleep_until_ready(server, FERRY_WRITE);
    }
    CHECK(status == FERRY_RESET);
    survived = WIFEXITED(child.join());
  }
}

TEST_CASE("a stopped peer is waited for, at the cost of no processor time, and loses nothing") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"ring", "64KiB"}});
  constexpr std::size_t total = 300'000;
  const Child child([&] {
    const RawConnection client = transport.connect(listener.address());
    ::raise(SIGSTOP);
    std::size_t got = 0;
    std::array<char, 4096> bytes;
    while (got < total) got += static_cast<std::size_t>(client.read(bytes.data(), bytes.size()));
    if (client.write("done") != 4) ::_exit(1);
  });
  const RawConnection server = listener.accept();
  child.until_stopped();
  char byte = 0;
  timespec before{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  CHECK(server.read(&byte, 1, in_ms(120)) == FERRY_TIMED_OUT);
  timespec after{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  CHECK((after.tv_sec - before.tv_sec) * 1'000'000'000 + after.tv_nsec - before.tv_nsec < 20'000'000);
  CHECK(server.write(std::string(65536, 'x')) == 65536);
  CHECK(server.write("x", FERRY_NO_WAIT) == FERRY_WOULD_BLOCK);
  CHECK(server.write("x", in_ms(60)) == FERRY_TIMED_OUT);
  child.signal(SIGCONT);
  CHECK(server.write_all(std::string(total - 65536, 'x')) == FERRY_OK);
  std::array<char, 4> answer;
  CHECK(server.read(answer.data(), answer.size()) == 4);
}

TEST_CASE("peers killed by the thousand in the middle of traffic give back descriptors and memory") {
  const int kills = kills_wanted();
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"ring", "64KiB"}});
  const int descriptors = fds_after_sleep(listener);
  const std::uint64_t memory = shared_memory_bytes();
  std::minstd_rand random(4711);
  for (int i = 0; i < kills; ++i) {
    CAPTURE(i);
    // The child sends frames of one letter each and reads what comes back; it dies at some point in between.
    Child child([&] {
      const RawConnection client = transport.connect(listener.address());
      const std::string frame(frame_bytes, 'f');
      std::array<char, 4096> bytes;
      while (client.write(frame, FERRY_FOREVER) > 0) (void)client.read(bytes.data(), bytes.size(), FERRY_NO_WAIT);
    });
    const RawConnection server = listener.accept();
    const std::int64_t until = plugin::monotonic_ns() + static_cast<std::int64_t>(random() % 300'000);
    std::uint64_t got = 0;
    std::int64_t status = 0;
    std::array<char, 4096> bytes;
    while (status >= 0 || status == FERRY_WOULD_BLOCK) {
      if (plugin::monotonic_ns() > until) child.kill();
      status = server.read(bytes.data(), bytes.size(), FERRY_NO_WAIT);
      if (status > 0) got += static_cast<std::uint64_t>(status);
      if (status > 0) (void)server.write({bytes.data(), static_cast<std::size_t>(status)}, FERRY_NO_WAIT);
      if (status == FERRY_WOULD_BLOCK && plugin::monotonic_ns() > until) sleep_until_ready(server, FERRY_READ);
    }
    REQUIRE(status == FERRY_RESET);
    REQUIRE(got % frame_bytes == 0);
  }
  CHECK(count_fds() == descriptors);
  CHECK(shared_memory_bytes() < memory + (8u << 20));  // other programs of this machine have some, too
}

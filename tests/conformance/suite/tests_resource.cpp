// What a transport takes it gives back: descriptors, threads, memory; and it behaves when there is nothing left.
#include <algorithm>
#include <future>

#include "flow.hpp"
#include "suite.hpp"
#include "usage.hpp"

namespace ferry::conformance {
namespace {

#ifdef FERRY_SANITIZED  // quarantine and shadow memory grow by themselves
constexpr bool memory_is_comparable = false;
#else
constexpr bool memory_is_comparable = true;
#endif

struct Use {
  std::set<int> descriptors = open_descriptors();
  int threads = thread_count();
  std::uint64_t memory = resident_bytes();
};

/// Runs the cycle until caches are warm, then many times more: nothing may grow. Threads of the suite itself are
/// joined.
template <class Cycle>
void expect_no_leak(Cycle&& cycle, int repeats) {
  constexpr std::uint64_t thread_bytes = 256u << 10;  // of the system's own: its stack and what it allocates
  const std::uint64_t tolerated_growth_bytes =
      (3u << 20) + static_cast<std::uint64_t>(taken_by_system_libraries()) * thread_bytes;
  for (int i = 0; i < 20; ++i) cycle(i);
  const Use before;
  for (int i = 0; i < repeats; ++i) cycle(i);
  const Use after;
  int fresh = 0;
  for (const int fd : after.descriptors) {
    require(before.descriptors.contains(fd) || ++fresh <= taken_by_system_libraries(), "descriptor ", fd, " (",
            describe_descriptor(fd), ") is left open; ", after.descriptors.size() - before.descriptors.size(),
            " more after ", repeats, " cycles");
  }
  require(after.threads <= before.threads + taken_by_system_libraries(), after.threads - before.threads,
          " more threads after ", repeats, " cycles");
  if (!memory_is_comparable) return;
  require(after.memory <= before.memory + tolerated_growth_bytes, (after.memory - before.memory) / 1024,
          " KiB more memory after ", repeats, " cycles");
}

void open_and_close(Context& context) {
  expect_no_leak(
      [&](int round) {
        Pair pair = context.pair();
        send_flow(pair.client, 1000);
        expect_flow(pair.server, 1000);
        std::uint8_t byte = 0;
        expect(pair.client.read(&byte, 1, in(ms / 10)), {FERRY_TIMED_OUT}, "read");  // sleepers may take resources
        switch (round % 3) {
          case 0:
            pair.client.abort();
            break;
          case 1:
            pair.client.interrupt();
            break;
          default:
            pair.server.interrupt();
            pair.server.abort();
            break;
        }
      },
      300);
}

void failed_connects(Context& context) {
  Listener listener = context.listen();
  const std::string address = listener.local_address();
  listener.close();
  expect_no_leak(
      [&](int) {
        Connection connection;
        Error error;
        require(context.transport().connect(address, soon(), connection, &error) != FERRY_OK, "somebody listens");
        Listener refused;
        require(context.transport().listen("", refused, &error) != FERRY_OK, "listen took an empty address");
      },
      300);
}

void transports(Context& context) {
  expect_no_leak([&](int) { const Transport transport(context.plugin(), context.host()); }, 300);
}

void descriptors_are_close_on_exec(Context& context) {
  const auto before = open_descriptors();
  Pair pair = context.pair();
  std::uint8_t byte = 0;
  expect(pair.client.read(&byte, 1, in(ms)), {FERRY_TIMED_OUT}, "read");
  Connection none;
  expect(pair.listener.accept(in(ms), none), {FERRY_TIMED_OUT}, "accept");
  for (const int fd : open_descriptors()) {
    require(before.contains(fd) || is_close_on_exec(fd), "descriptor ", fd, " (", describe_descriptor(fd),
            ") would leak into programs that the host starts");
  }
}

void accept_without_descriptors(Context& context) {
  if (!NoDescriptors::is_possible()) skip("this system has no limit of descriptors");
  Listener listener = context.listen();
  const std::string address = listener.local_address();
  Connection warm_client;
  Connection warm_server;
  context.connect_to(listener, warm_client, warm_server);
  auto connecting = std::async(std::launch::async, [&] { return context.connect(address); });
  if (connecting.wait_for(std::chrono::milliseconds(500)) != std::future_status::ready) {
    const Connection server = context.accept(listener);
    const Connection client = connecting.get();
    skip("connects complete only when they are accepted");
  }
  const Connection client = connecting.get();
  {
    Connection server;
    Error error;
    ferry_status status = FERRY_OK;
    const std::int64_t start = now_ns();
    {
      const NoDescriptors none;
      status = listener.accept(in(100 * ms), server, &error);
    }
    expect(status, {FERRY_NO_RESOURCES, FERRY_TIMED_OUT, FERRY_OK}, "accept without a descriptor left");
    require(now_ns() - start < 2 * second, "accept without a descriptor left took seconds");
    if (status == FERRY_NO_RESOURCES) text_of(error, status, "accept");
    if (status == FERRY_OK) return;
  }
  const Connection server = context.accept(listener);
}

void connect_without_descriptors(Context& context) {
  if (!NoDescriptors::is_possible()) skip("this system has no limit of descriptors");
  Pair pair = context.pair();
  const std::string address = pair.listener.local_address();
  Connection client;
  Error error;
  ferry_status status = FERRY_OK;
  {
    const NoDescriptors none;
    status = context.transport().connect(address, in(500 * ms), client, &error);
  }
  if (status == FERRY_OK) skip("connecting takes no descriptor");
  expect(status, {FERRY_NO_RESOURCES}, "connect without a descriptor left");
  text_of(error, status, "connect");
  Connection server;
  context.connect_to(pair.listener, client, server);
}

void signals_are_left_alone(Context& context) {
  const std::string before = signal_handling();
  {
    Pair pair = context.pair();
    send_flow(pair.client, 10);
    expect_flow(pair.server, 10);
  }
  require(signal_handling() == before, "signal handling was '", before, "' and is '", signal_handling(), "'");
}

void hot_path_allocates_nothing(Context& context) {
  if (count_allocations == nullptr) skip("this program does not count allocations");
  Pair pair = context.pair();
  std::vector<std::uint8_t> bytes(64);
  fill(bytes, 0);
  const auto ping_pong = [&] {
    write_all(pair.client, bytes);
    read_exact(pair.server, bytes);
    write_all(pair.server, bytes);
    read_exact(pair.client, bytes);
    static_cast<void>(pair.client.arm(FERRY_READ));
  };
  for (int i = 0; i < 100; ++i) ping_pong();
  const std::uint64_t before = count_allocations();
  for (int i = 0; i < 1000; ++i) ping_pong();
  const std::uint64_t made = count_allocations() - before;
  require(made < 100, made, " allocations in 1000 exchanges of 64 bytes");
}

}  // namespace

std::span<const Test> resource_tests() {
  static constexpr Test tests[] = {
      {"resource.cycles", "hundreds of connections leave no descriptor, thread or memory behind", FERRY_CAP_EPHEMERAL,
       open_and_close, 60},
      {"resource.failures", "failed connects and listens leave nothing behind", FERRY_CAP_EPHEMERAL, failed_connects,
       60},
      {"resource.transports", "transports leave nothing behind", 0, transports},
      {"resource.close_on_exec", "every descriptor is close-on-exec", FERRY_CAP_EPHEMERAL,
       descriptors_are_close_on_exec},
      {"resource.accept_exhausted", "accept without descriptors says so, and recovers", FERRY_CAP_EPHEMERAL,
       accept_without_descriptors},
      {"resource.connect_exhausted", "connect without descriptors says so, and recovers", FERRY_CAP_EPHEMERAL,
       connect_without_descriptors},
      {"resource.signals", "signal handling is the host's", FERRY_CAP_EPHEMERAL, signals_are_left_alone},
      {"resource.allocations", "small exchanges allocate nothing", FERRY_CAP_EPHEMERAL, hot_path_allocates_nothing},
  };
  return tests;
}

}  // namespace ferry::conformance

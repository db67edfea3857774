// Bytes arrive: all of them, in order, once, in both directions.
#include <algorithm>
#include <array>
#include <future>

#include "flow.hpp"
#include "peer.hpp"
#include "suite.hpp"

namespace ferry::conformance {
namespace {

/// Sends the flow one way and the same bytes back, the two ends in two threads as no buffer is unbounded.
void round_trip(Pair& pair, std::uint64_t size) {
  auto echo = std::async(std::launch::async, [&] {
    expect_flow(pair.server, size);
    send_flow(pair.server, size, 0, 1);
  });
  send_flow(pair.client, size);
  expect_flow(pair.client, size, 0, 1);
  echo.get();
}

void echo_of_every_size(Context& context) {
  Pair pair = context.pair();
  for (const std::uint64_t limit : {std::uint64_t{2}, std::uint64_t{64}, std::uint64_t{4096}, std::uint64_t{65536},
                                    std::uint64_t{pair.client.chunk()}}) {
    for (const std::uint64_t size : {limit - 1, limit, limit + 1}) round_trip(pair, size);
  }
}

void nothing_is_nothing(Context& context) {
  if (!context.has(FERRY_CAP_STREAM)) skip("an empty write is an empty record here");
  Pair pair = context.pair();
  std::uint8_t unused = 0;
  expect(pair.client.write(&unused, 0, soon()), {0}, "write of no bytes");
  const ferry_iovec empty[] = {{nullptr, 0}, {&unused, 0}};
  expect(pair.client.write(empty, soon()), {0}, "write of two empty pieces");
  expect(pair.server.read(&unused, 0, soon()), {0}, "read into no space");
  expect(pair.server.read(&unused, 1, FERRY_NO_WAIT), {FERRY_WOULD_BLOCK}, "read after empty writes");
  send_flow(pair.client, 3);
  expect_flow(pair.server, 3);
}

void unknown_flags_are_ignored(Context& context) {
  Pair pair = context.pair();
  const std::uint8_t bytes[] = {1, 2, 3};
  expect(pair.client.write(bytes, sizeof bytes, soon(), 0xFFFFFFFFu & ~std::uint32_t{FERRY_WRITE_MORE}), {sizeof bytes},
         "write with flags of a later version");
  std::uint8_t got[sizeof bytes] = {};
  read_exact(pair.server, got);
  require(std::ranges::equal(got, bytes), "other bytes arrived");
}

void ten_mebibytes_in_many_pieces(Context& context) {
  constexpr std::uint64_t total = 10u << 20;
  Pair pair = context.pair();
  auto reading = std::async(std::launch::async, [&] { expect_flow(pair.server, total); });
  std::vector<std::uint8_t> bytes(FERRY_MAX_IOVECS * 1024);
  std::uint32_t round = 0;
  for (std::uint64_t position = 0; position < total; ++round) {
    const std::uint64_t most = std::min<std::uint64_t>({bytes.size(), total - position, pair.client.chunk()});
    fill(std::span(bytes).first(most), position);
    std::array<ferry_iovec, FERRY_MAX_IOVECS> pieces{};
    std::uint64_t used = 0;
    std::uint32_t count = 0;
    for (; count < FERRY_MAX_IOVECS && used < most; ++count) {  // pieces of 0 to 1023 bytes, uneven in each round
      const std::uint64_t size = std::min<std::uint64_t>((count * 379 + round * 97) % 1024, most - used);
      pieces[count] = {bytes.data() + used, size};
      used += size;
    }
    if (used == 0) continue;
    const std::int64_t sent = pair.client.write(std::span(pieces).first(count), soon());
    require(sent > 0 && static_cast<std::uint64_t>(sent) <= used, "write of ", count, " pieces returned ",
            result_text(sent));
    position += static_cast<std::uint64_t>(sent);
  }
  reading.get();
}

void one_byte_reads(Context& context) {
  if (!context.has(FERRY_CAP_STREAM)) skip("a record is read whole");
  Pair pair = context.pair();
  send_flow(pair.client, 3000);
  for (std::uint64_t i = 0; i < 3000; ++i) expect_flow(pair.server, 1, i);
}

void both_directions_from_two_threads(Context& context) {
  constexpr std::uint64_t total = 8u << 20;
  Pair pair = context.pair();
  std::vector<std::future<void>> threads;
  threads.push_back(std::async(std::launch::async, [&] { send_flow(pair.client, total, 0, 1); }));
  threads.push_back(std::async(std::launch::async, [&] { expect_flow(pair.client, total, 0, 2); }));
  threads.push_back(std::async(std::launch::async, [&] { send_flow(pair.server, total, 0, 2); }));
  threads.push_back(std::async(std::launch::async, [&] { expect_flow(pair.server, total, 0, 1); }));
  for (auto& thread : threads) thread.get();
}

/// A system may cancel what a thread has begun when the thread ends: accepted bytes must not go with it.
void threads_that_end(Context& context) {
  constexpr std::uint64_t total = 4u << 20;
  Pair pair = context.pair();
  auto reading = std::async(std::launch::async, [&] { expect_flow(pair.server, total); });
  constexpr std::uint64_t step = 64u << 10;
  for (std::uint64_t position = 0; position < total; position += std::min(step, total - position)) {
    std::async(std::launch::async, [&] { send_flow(pair.client, std::min(step, total - position), position); }).get();
  }
  reading.get();
}

void more_holds_nothing_for_ever(Context& context) {
  Pair pair = context.pair();
  for (std::uint64_t i = 0; i < 100; ++i) {
    const std::uint8_t first = pattern(2 * i);
    const std::uint8_t last = pattern(2 * i + 1);
    expect(pair.client.write(&first, 1, soon(), FERRY_WRITE_MORE), {1}, "write with FERRY_WRITE_MORE");
    expect(pair.client.write(&last, 1, soon()), {1}, "write");
    expect_flow(pair.server, 2, 2 * i);
  }
  const std::uint8_t last = pattern(0);
  expect(pair.client.write(&last, 1, soon(), FERRY_WRITE_MORE), {1}, "write with FERRY_WRITE_MORE");
  auto finishing = std::async(std::launch::async, [&] { expect(pair.client.finish(soon()), {FERRY_OK}, "finish"); });
  expect_flow(pair.server, 1);
  expect_end(pair.server);
  pair.server.close();
  finishing.get();
}

void across_processes(Context& context) {
  constexpr std::uint64_t total = 4u << 20;
  Peer peer(context);
  Listener listener = context.listen();
  peer.send("connect " + listener.local_address());
  Connection server = context.accept(listener);
  require(peer.answer() == "ok", "the second process did not connect");
  peer.send("echo");
  auto writing = std::async(std::launch::async, [&] { send_flow(server, total); });
  std::vector<std::uint8_t> bytes(server.chunk());
  for (std::uint64_t position = 0; position < total;) {
    const std::int64_t got = server.read(bytes.data(), bytes.size(), soon());
    require(got > 0, "read returned ", result_text(got));
    check(std::span(bytes).first(static_cast<std::size_t>(got)), position);
    position += static_cast<std::uint64_t>(got);
  }
  writing.get();
  server.close();
  require(peer.answer() == "done", "the second process did not see the end");
}

}  // namespace

std::span<const Test> transfer_tests() {
  static constexpr Test tests[] = {
      {"transfer.echo", "1 byte to a whole chunk, and one byte around each limit", FERRY_CAP_EPHEMERAL,
       echo_of_every_size},
      {"transfer.nothing", "writes and reads of no bytes are 0 and send nothing", FERRY_CAP_EPHEMERAL,
       nothing_is_nothing},
      {"transfer.flags", "unknown flags of a write are ignored", FERRY_CAP_EPHEMERAL, unknown_flags_are_ignored},
      {"transfer.ten_mebibytes", "10 MiB in writes of many uneven pieces, each byte checked", FERRY_CAP_EPHEMERAL,
       ten_mebibytes_in_many_pieces},
      {"transfer.one_byte_reads", "a stream can be read a byte at a time", FERRY_CAP_EPHEMERAL, one_byte_reads},
      {"transfer.full_duplex", "8 MiB each way at once from two threads at each end", FERRY_CAP_EPHEMERAL,
       both_directions_from_two_threads},
      {"transfer.threads_end", "bytes accepted from threads that end right after arrive", FERRY_CAP_EPHEMERAL,
       threads_that_end},
      {"transfer.more", "FERRY_WRITE_MORE delays until the next write or the end, no longer", FERRY_CAP_EPHEMERAL,
       more_holds_nothing_for_ever},
      {"transfer.processes", "an echo in another process returns every byte", FERRY_CAP_EPHEMERAL, across_processes},
  };
  return tests;
}

}  // namespace ferry::conformance

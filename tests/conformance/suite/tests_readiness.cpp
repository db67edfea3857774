// arm and pollable: what an event loop lives on. A lost wake-up shows as a poll that never returns.
#include <algorithm>
#include <chrono>
#include <future>
#include <thread>

#include "flow.hpp"
#include "peer.hpp"
#include "suite.hpp"
#include "usage.hpp"
#include "wait.hpp"

namespace ferry::conformance {
namespace {

constexpr int wake_up_limit_ms = 5000;

/// Spins for 0 to 51 us, so that events fall into every gap between looking, arming and sleeping, narrow as they are.
void uneven_pause(std::uint64_t round) {
  const std::int64_t until = in(pattern(round, 9) * 200);
  while (now_ns() < until) {
  }
}

/// Arms and sleeps as an event loop would; fails when nothing wakes it.
void sleep_until_ready(Connection& connection, ferry_interest interest, std::uint64_t round) {
  if (round % 3 == 1) uneven_pause(round);
  const std::int32_t armed = connection.arm(interest);
  if (round % 3 == 2) uneven_pause(round);
  if (armed != FERRY_ARMED) return expect(armed, {FERRY_READY}, "arm");
  require(becomes_ready(connection.pollable(interest), wake_up_limit_ms), "armed for ",
          interest == FERRY_READ ? "reading" : "writing", " and not woken, after ", round, " bytes");
}

/// Reads by arm and poll alone until `total` bytes of the flow have come.
void read_by_polling(Connection& connection, std::uint64_t total) {
  std::vector<std::uint8_t> bytes(connection.chunk());
  for (std::uint64_t position = 0; position < total;) {
    const std::int64_t got = connection.read(bytes.data(), bytes.size(), FERRY_NO_WAIT);
    if (got == FERRY_WOULD_BLOCK) {
      sleep_until_ready(connection, FERRY_READ, position);
      continue;
    }
    require(got > 0, "read returned ", result_text(got), " after ", position, " bytes");
    check(std::span(bytes).first(static_cast<std::size_t>(got)), position);
    position += static_cast<std::uint64_t>(got);
  }
}

void no_wakeup_lost_to_another_process(Context& context) {
  constexpr std::uint64_t rounds = 20000;
  Peer peer(context);
  Listener listener = context.listen();
  peer.send("connect " + listener.local_address());
  Connection server = context.accept(listener);
  require(peer.answer() == "ok", "the second process did not connect");
  peer.send(concat("trickle ", rounds));
  read_by_polling(server, rounds);
  require(peer.answer() == "ok", "the second process failed to write");
}

/// Each answer makes the next question, so each round has its own sleep and its own wake-up.
void no_wakeup_lost_in_ping_pong(Context& context) {
  constexpr std::uint64_t rounds = 4000;
  Peer peer(context);
  Listener listener = context.listen();
  peer.send("connect " + listener.local_address());
  Connection server = context.accept(listener);
  require(peer.answer() == "ok", "the second process did not connect");
  peer.send("echo");
  for (std::uint64_t i = 0; i < rounds; ++i) {
    const std::uint8_t question = pattern(i);
    write_all(server, {&question, 1});
    std::uint8_t answer = 0;
    while (true) {
      const std::int64_t got = server.read(&answer, 1, FERRY_NO_WAIT);
      if (got == 1) break;
      expect(got, {FERRY_WOULD_BLOCK}, "read");
      // Now and then the answer is given time to arrive between the try and `arm`: the window that wake-ups get lost
      // in.
      if (i % 16 == 0) std::this_thread::sleep_for(std::chrono::microseconds(500));
      sleep_until_ready(server, FERRY_READ, i);
    }
    check({&answer, 1}, i);
  }
  server.close();
  require(peer.answer() == "done", "the second process did not see the end");
}

void writer_is_woken(Context& context) {
  Pair pair = context.pair();
  std::uint64_t written = 0;
  std::uint64_t read = 0;
  constexpr std::uint64_t enough = 32u << 20;  // a network transport holds megabytes in each round
  for (int round = 0; round < 30 && written < enough; ++round) {
    std::vector<std::uint8_t> bytes(std::min<std::size_t>(pair.client.chunk(), 16384));
    while (true) {
      fill(bytes, written);
      const std::int64_t sent = pair.client.write(bytes.data(), bytes.size(), FERRY_NO_WAIT);
      if (sent == FERRY_WOULD_BLOCK) break;
      require(sent > 0, "write returned ", result_text(sent));
      written += static_cast<std::uint64_t>(sent);
      require(written - read < most_bytes_in_flight, "writes never block");
    }
    auto draining = std::async(std::launch::async, [&] { expect_flow(pair.server, written - read, read); });
    sleep_until_ready(pair.client, FERRY_WRITE, written);
    draining.get();
    read = written;
  }
}

void end_wakes(Context& context) {
  Listener listener = context.listen();
  for (int round = 0; round < 50; ++round) {
    Connection client;
    Connection server;
    context.connect_to(listener, client, server);
    auto ending = std::async(std::launch::async, [&] {
      if (round % 2 == 0) static_cast<void>(client.finish(in(second)));
      client.close();
    });
    std::int64_t got = FERRY_WOULD_BLOCK;
    while (got == FERRY_WOULD_BLOCK) {
      sleep_until_ready(server, FERRY_READ, 0);
      std::uint8_t byte = 0;
      got = server.read(&byte, 1, FERRY_NO_WAIT);
    }
    expect(got, {FERRY_END, FERRY_RESET}, "read from a peer that closed");
    server.close();
    ending.get();
  }
}

void armed_means_asleep(Context& context) {
  Pair pair = context.pair();
  int wakes = 0;
  for (const std::int64_t until = in(200 * ms); now_ns() < until;) {
    std::uint8_t byte = 0;
    expect(pair.client.read(&byte, 1, FERRY_NO_WAIT), {FERRY_WOULD_BLOCK}, "read from a silent peer");
    if (pair.client.arm(FERRY_READ) == FERRY_ARMED) {
      static_cast<void>(becomes_ready(pair.client.pollable(FERRY_READ), 50));
    }
    require(++wakes <= 40, "a silent connection woke its reader ", wakes, " times within 200 ms");
  }
}

void pollable_is_constant(Context& context) {
  Pair pair = context.pair();
  for (const ferry_interest interest : {ferry_interest{FERRY_READ}, ferry_interest{FERRY_WRITE}}) {
    const ferry_pollable first = pair.client.pollable(interest);
    send_flow(pair.client, 1000);
    expect_flow(pair.server, 1000);
    send_flow(pair.server, 1000);
    expect_flow(pair.client, 1000);
    static_cast<void>(pair.client.arm(interest));
    require(pair.client.pollable(interest).handle == first.handle, "the pollable's handle changed");
  }
}

void stalled_reader(Context& context) {
  Pair pair = context.pair();
  const std::uint64_t before = resident_bytes();
  std::uint64_t in_flight = fill_up(pair.client, most_bytes_in_flight);
  require(resident_bytes() < before + most_bytes_in_flight, "a stalled reader makes memory grow");
  expect(write_until_status(pair.client, in_flight, in(20 * ms)), {FERRY_TIMED_OUT}, "write to a stalled reader");
  expect_flow(pair.server, in_flight);
}

void stalled_writer_wakes(Context& context) {
  constexpr std::uint64_t more = 300000;
  Pair pair = context.pair();
  const std::uint64_t in_flight = fill_up(pair.client, most_bytes_in_flight);
  auto writing = std::async(std::launch::async, [&] { send_flow(pair.client, more, in_flight); });
  writing.wait_for(std::chrono::milliseconds(20));
  expect_flow(pair.server, in_flight + more);
  writing.get();
}

}  // namespace

std::span<const Test> readiness_tests() {
  static constexpr Test tests[] = {
      {"readiness.trickle", "20,000 bytes from another process, each write its own, wake every sleep",
       FERRY_CAP_EPHEMERAL, no_wakeup_lost_to_another_process, 60},
      {"readiness.ping_pong", "4,000 questions and answers, each with its own sleep", FERRY_CAP_EPHEMERAL,
       no_wakeup_lost_in_ping_pong, 60},
      {"readiness.writer", "a full connection wakes its writer when the peer reads", FERRY_CAP_EPHEMERAL,
       writer_is_woken, 60},
      {"readiness.end", "the peer's end wakes a sleeping reader", FERRY_CAP_EPHEMERAL, end_wakes},
      {"readiness.asleep", "armed on a silent connection means asleep", FERRY_CAP_EPHEMERAL, armed_means_asleep},
      {"readiness.constant", "the pollable's handle is constant", FERRY_CAP_EPHEMERAL, pollable_is_constant},
      {"readiness.stalled_reader", "a peer that reads nothing bounds what is in flight", FERRY_CAP_EPHEMERAL,
       stalled_reader},
      {"readiness.stalled_writer", "a blocked write goes on when the peer reads", FERRY_CAP_EPHEMERAL,
       stalled_writer_wakes},
  };
  return tests;
}

}  // namespace ferry::conformance

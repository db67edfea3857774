// Ends: half-close, finish and close, reset. No byte is lost before any of them.
#include <future>

#include "flow.hpp"
#include "suite.hpp"
#include "usage.hpp"
#include "wait.hpp"

namespace ferry::conformance {
namespace {

void half_close_then_reply(Context& context) {
  Pair pair = context.pair();
  Connection* const one = &pair.client;
  Connection* const other = &pair.server;
  {
    send_flow(*one, 10000);
    expect(one->shutdown_write(), {FERRY_OK}, "shutdown_write");
    expect(one->shutdown_write(), {FERRY_OK}, "shutdown_write again");
    expect_flow(*other, 10000);
    expect_end(*other);
    expect_end(*other);
    send_flow(*other, 10000, 0, 1);
    expect_flow(*one, 10000, 0, 1);
    const std::uint8_t late = 0;
    expect(one->write(&late, 1, soon()), {FERRY_CLOSED}, "write after shutdown_write");
    expect(other->shutdown_write(), {FERRY_OK}, "shutdown_write of the other end");
    expect_end(*one);
  }
}

/// The write side ends while the read side is still to begin, runs, or waits: each order over hundreds of rounds.
void write_then_close(Context& context) {
  Listener listener = context.listen();
  constexpr int rounds = 300;
  for (int round = 0; round < rounds; ++round) {
    Connection client;
    Connection server;
    context.connect_to(listener, client, server);
    const std::uint64_t size = 1 + static_cast<std::uint64_t>(round) * 7919 % 40000;
    auto writing = std::async(std::launch::async, [&] {
      send_flow(client, size);
      expect(client.finish(soon()), {FERRY_OK}, "finish");
      client.close();
    });
    if (round % 3 == 0 && size < 8000) writing.wait();
    std::int64_t status = 0;
    const std::uint64_t got = read_flow_until_status(server, status);
    require(got == size, "round ", round, ": ", got, " of ", size, " bytes arrived before ", result_text(status));
    expect(status, {FERRY_END}, concat("read after the last byte, round ", round));
    server.close();
    writing.get();
  }
}

/// Data and hang-up are both there before the reader looks: the data must come first.
void data_before_hangup(Context& context) {
  Listener listener = context.listen();
  for (int round = 0; round < 100; ++round) {
    Connection client;
    Connection server;
    context.connect_to(listener, client, server);
    send_flow(client, 4000);
    auto closing = std::async(std::launch::async, [&] {
      expect(client.finish(soon()), {FERRY_OK}, "finish");
      client.close();
    });
    if (closing.wait_for(std::chrono::milliseconds(5)) == std::future_status::ready) {
      const ferry_pollable pollable = server.pollable(FERRY_READ);
      if (server.arm(FERRY_READ) == FERRY_ARMED) require(becomes_ready(pollable, 5000), "no wake-up for data and end");
    }
    std::uint64_t got = 0;
    std::vector<std::uint8_t> bytes(server.chunk());
    while (got < 4000) {
      const std::int64_t more = server.read(bytes.data(), bytes.size(), soon());
      require(more > 0, "round ", round, ": read returned ", result_text(more), " before the data that came first");
      check(std::span(bytes).first(static_cast<std::size_t>(more)), got);
      got += static_cast<std::uint64_t>(more);
    }
    expect_end(server);
    server.close();
    closing.get();
  }
}

void finish_discards_unread_input(Context& context) {
  Pair pair = context.pair();
  send_flow(pair.server, 3000, 0, 1);
  std::uint8_t first = 0;
  read_exact(pair.client, {&first, context.has(FERRY_CAP_STREAM) ? 1u : 0u});
  send_flow(pair.client, 3000);
  auto finishing = std::async(std::launch::async, [&] {
    expect(pair.client.finish(soon()), {FERRY_OK}, "finish with unread input");
    pair.client.close();
  });
  expect_flow(pair.server, 3000);
  expect_end(pair.server);
  pair.server.close();
  finishing.get();
}

/// Whoever finishes reads no more, and must not keep a peer that has to write before it comes to read.
void finish_while_both_directions_are_full(Context& context) {
  Pair pair = context.pair();
  std::uint64_t sent = fill_up(pair.client, most_bytes_in_flight);
  std::uint64_t unread = fill_up(pair.server, most_bytes_in_flight);
  expect(write_until_status(pair.client, sent, in(20 * ms)), {FERRY_TIMED_OUT}, "write to a stalled reader");
  expect(write_until_status(pair.server, unread, in(20 * ms)), {FERRY_TIMED_OUT}, "write to a stalled reader");
  auto finishing = std::async(std::launch::async, [&] {
    expect(pair.client.finish(soon()), {FERRY_OK}, "finish with both directions full");
    pair.client.close();
  });
  const std::vector<std::uint8_t> bytes(pair.server.chunk());
  const std::int64_t written = pair.server.write(bytes.data(), bytes.size(), soon());
  require(written > 0 || written == FERRY_RESET, "write to a peer that finishes returned ", result_text(written));
  std::int64_t status = 0;
  const std::uint64_t got = read_flow_until_status(pair.server, status);
  require(got == sent, got, " of ", sent, " bytes arrived before ", result_text(status));
  expect(status, {FERRY_END}, "read after the last byte");
  pair.server.close();
  finishing.get();
}

void both_ends_finish(Context& context) {
  Listener listener = context.listen();
  for (int round = 0; round < 50; ++round) {
    Connection client;
    Connection server;
    context.connect_to(listener, client, server);
    auto other = std::async(std::launch::async, [&] {
      expect(server.finish(soon()), {FERRY_OK, FERRY_RESET}, "finish");
      server.close();
    });
    expect(client.finish(soon()), {FERRY_OK, FERRY_RESET}, "finish");
    client.close();
    other.get();
  }
}

void finish_can_be_repeated(Context& context) {
  Pair pair = context.pair();
  send_flow(pair.client, 3000);
  auto reading = std::async(std::launch::async, [&] {
    expect_flow(pair.server, 3000);
    expect_end(pair.server);
    pair.server.close();
  });
  const std::int64_t start = now_ns();
  ferry_status status = FERRY_WOULD_BLOCK;
  while (status == FERRY_WOULD_BLOCK || status == FERRY_TIMED_OUT) {
    require(now_ns() - start < 10 * second, "finish did not come to an end in ten seconds");
    status = pair.client.finish(in(ms));
  }
  expect(status, {FERRY_OK}, "finish");
  expect(pair.client.finish(soon()), {FERRY_OK}, "finish after finish");
  reading.get();
}

void abort_is_a_reset(Context& context) {
  if (is_wine() && !context.has(FERRY_CAP_LENDING))
    skip("Wine 8 ends a socket in order before it resets it: unverified on Windows");
  Listener listener = context.listen();
  for (int round = 0; round < 20; ++round) {
    Connection client;
    Connection server;
    context.connect_to(listener, client, server);
    send_flow(client, 100);
    expect_flow(server, 100);
    auto reading = std::async(std::launch::async, [&] {
      std::uint8_t byte = 0;
      return server.read(&byte, 1, soon());
    });
    if (round % 2 == 0) reading.wait_for(std::chrono::milliseconds(1));
    client.abort();
    expect(reading.get(), {FERRY_RESET}, "read from a peer that aborted");
    std::uint8_t byte = 0;
    for (int again = 0; again < 2; ++again) {
      expect(server.read(&byte, 1, FERRY_FOREVER), {FERRY_RESET}, "a later read: a reset is final");
      expect(server.write(&byte, 1, FERRY_FOREVER), {FERRY_RESET}, "a later write: a reset is final");
    }
  }
}

void abort_is_at_least_an_end(Context& context) {
  Pair pair = context.pair();
  send_flow(pair.client, 100);
  expect_flow(pair.server, 100);
  pair.client.abort();
  std::uint8_t byte = 0;
  expect(pair.server.read(&byte, 1, soon()), {FERRY_RESET, FERRY_END}, "read from a peer that aborted");
}

/// A process that ignores SIGPIPE would hide the signal, so the runner leaves it at its default, which kills.
void writing_to_nobody(Context& context) {
  Pair pair = context.pair();
  pair.server.close();
  const std::vector<std::uint8_t> bytes(1000);
  std::int64_t sent = 0;
  const std::int64_t start = now_ns();
  while (sent >= 0) {
    sent = pair.client.write(bytes.data(), bytes.size(), soon());
    require(now_ns() - start < 20 * second, "writes to a peer that closed still succeed after 20 seconds");
  }
  expect(sent, {FERRY_RESET}, "write to a peer that closed");
  expect(pair.client.write(bytes.data(), bytes.size(), soon()), {FERRY_RESET}, "write after a reset");
}

}  // namespace

std::span<const Test> ending_tests() {
  static constexpr Test tests[] = {
      {"ending.half_close", "shutdown_write ends one direction; the reply still comes",
       FERRY_CAP_EPHEMERAL | FERRY_CAP_HALF_CLOSE, half_close_then_reply},
      {"ending.write_then_close", "300 rounds: every byte arrives, then END", FERRY_CAP_EPHEMERAL, write_then_close,
       60},
      {"ending.data_before_hangup", "data that came with the end is read before it", FERRY_CAP_EPHEMERAL,
       data_before_hangup},
      {"ending.unread_input", "finish loses no byte although input was left unread", FERRY_CAP_EPHEMERAL,
       finish_discards_unread_input},
      {"ending.both_full", "finish comes to its end though both directions are full", FERRY_CAP_EPHEMERAL,
       finish_while_both_directions_are_full},
      {"ending.both_finish", "both ends may finish at once", FERRY_CAP_EPHEMERAL, both_ends_finish},
      {"ending.finish_again", "finish can be called again after a time-out, and after success", FERRY_CAP_EPHEMERAL,
       finish_can_be_repeated},
      {"ending.reset", "abort reaches the peer as RESET", FERRY_CAP_EPHEMERAL | FERRY_CAP_RESET, abort_is_a_reset},
      {"ending.abort", "abort reaches the peer at least as an end", FERRY_CAP_EPHEMERAL, abort_is_at_least_an_end},
      {"ending.writing_to_nobody", "writes to a closed peer come to RESET, and raise no signal", FERRY_CAP_EPHEMERAL,
       writing_to_nobody},
  };
  return tests;
}

}  // namespace ferry::conformance

// Interrupts: from any thread, before, during or after the wait; permanent; and they destroy no data.
//
// Nobody can know that another thread sleeps inside a call, so each test has rounds in which the interrupt comes at a
// different moment. One that is lost shows as a call that never returns.
#include <future>
#include <thread>

#include "flow.hpp"
#include "full_queue.hpp"
#include "suite.hpp"
#include "wait.hpp"

namespace ferry::conformance {
namespace {

constexpr int rounds = 60;

/// From at once to a few milliseconds: in the later rounds the other thread is asleep.
void uneven_pause(int round) {
  const std::int64_t until = in(round % 6 * 20'000 + (round % 10 == 9 ? 3 * ms : 0));
  while (now_ns() < until) std::this_thread::yield();
}

void read_is_interrupted(Context& context) {
  Listener listener = context.listen();
  for (int round = 0; round < rounds; ++round) {
    Connection client;
    Connection server;
    context.connect_to(listener, client, server);
    auto reading = std::async(std::launch::async, [&] {
      std::uint8_t byte = 0;
      return client.read(&byte, 1, FERRY_FOREVER);
    });
    uneven_pause(round);
    client.interrupt();
    expect(reading.get(), {FERRY_INTERRUPTED}, "read after interrupt");
  }
}

void write_is_interrupted(Context& context) {
  Listener listener = context.listen();
  for (int round = 0; round < rounds / 3; ++round) {
    Connection client;
    Connection server;
    context.connect_to(listener, client, server);
    std::uint64_t position = fill_up(client, most_bytes_in_flight);
    auto writing = std::async(std::launch::async, [&] { return write_until_status(client, position, FERRY_FOREVER); });
    uneven_pause(round);
    client.interrupt();
    expect(writing.get(), {FERRY_INTERRUPTED}, "write after interrupt");
  }
}

void both_directions_are_interrupted(Context& context) {
  Pair pair = context.pair();
  std::uint64_t position = fill_up(pair.client, most_bytes_in_flight);
  auto reading = std::async(std::launch::async, [&] {
    std::uint8_t byte = 0;
    return pair.client.read(&byte, 1, FERRY_FOREVER);
  });
  auto writing =
      std::async(std::launch::async, [&] { return write_until_status(pair.client, position, FERRY_FOREVER); });
  uneven_pause(9);
  auto second_caller = std::async(std::launch::async, [&] { pair.client.interrupt(); });
  pair.client.interrupt();
  second_caller.get();
  expect(reading.get(), {FERRY_INTERRUPTED}, "read after interrupt");
  expect(writing.get(), {FERRY_INTERRUPTED}, "write after interrupt");
}

void accept_is_interrupted(Context& context) {
  for (int round = 0; round < rounds; ++round) {
    Listener listener = context.listen();
    auto accepting = std::async(std::launch::async, [&] {
      Connection connection;
      return listener.accept(FERRY_FOREVER, connection);
    });
    uneven_pause(round);
    listener.interrupt();
    expect(accepting.get(), {FERRY_INTERRUPTED}, "accept after interrupt");
    Connection connection;
    expect(listener.accept(FERRY_FOREVER, connection), {FERRY_INTERRUPTED}, "accept long after interrupt");
    listener.close();
  }
}

void finish_is_interrupted(Context& context) {
  Listener listener = context.listen();
  for (int round = 0; round < rounds / 3; ++round) {
    Connection client;
    Connection server;
    context.connect_to(listener, client, server);
    fill_up(client, most_bytes_in_flight);
    auto finishing = std::async(std::launch::async, [&] { return client.finish(FERRY_FOREVER); });
    uneven_pause(round);
    client.interrupt();
    expect(finishing.get(), {FERRY_OK, FERRY_INTERRUPTED}, "finish towards a stalled reader after interrupt");
    round % 2 == 0 ? client.abort() : client.close();  // an interrupted connection ends like any other
  }
}

void connect_is_cancelled(Context& context) {
  const auto queue = fill_queue(context);
  if (!queue) skip("connects to a listener that nobody serves never have to wait");
  for (int round = 0; round < rounds / 3; ++round) {
    CancelHandle handle;
    auto connecting = std::async(std::launch::async, [&] {
      Connection connection;
      return context.transport().connect(queue->address, FERRY_FOREVER, connection, nullptr, handle.get());
    });
    uneven_pause(round);
    handle.cancel();
    expect(connecting.get(), {FERRY_INTERRUPTED}, "connect after cancel");
  }
}

void cancel_without_need(Context& context) {
  Listener listener = context.listen();
  CancelHandle handle;
  handle.cancel();
  Connection client;
  expect(context.transport().connect(listener.local_address(), in(5 * second), client, nullptr, handle.get()),
         {FERRY_OK, FERRY_INTERRUPTED}, "connect that was cancelled before");
  Connection connected;
  CancelHandle unused;
  auto accepting = std::async(std::launch::async, [&] {
    Connection server = context.accept(listener);
    if (client) server = context.accept(listener);
    return server;
  });
  Error error;
  expect(context.transport().connect(listener.local_address(), soon(), connected, &error, unused.get()), {FERRY_OK},
         "connect that could be cancelled");
  accepting.get();
}

void interrupt_is_permanent_and_harmless(Context& context) {
  Pair pair = context.pair();
  send_flow(pair.client, 100);
  while (pair.server.arm(FERRY_READ) == FERRY_ARMED) {  // until the data has arrived
    if (becomes_ready(pair.server.pollable(FERRY_READ), 5000)) break;
  }
  pair.server.interrupt();
  pair.server.interrupt();
  std::vector<std::uint8_t> bytes(100);
  std::int64_t got = pair.server.read(bytes.data(), bytes.size(), soon());
  expect(got, {100}, "read of data that arrived before the interrupt");
  for (int i = 0; i < 3; ++i) {
    expect(pair.server.read(bytes.data(), bytes.size(), FERRY_FOREVER), {FERRY_INTERRUPTED}, "a later waiting read");
    expect(pair.server.read(bytes.data(), bytes.size(), in(second)), {FERRY_INTERRUPTED}, "a later waiting read");
  }
  expect(pair.server.read(bytes.data(), bytes.size(), FERRY_NO_WAIT), {FERRY_WOULD_BLOCK, FERRY_INTERRUPTED},
         "a later read that does not wait");
  send_flow(pair.server, 100, 0, 1);
  expect_flow(pair.client, 100, 0, 1);
}

}  // namespace

std::span<const Test> interrupt_tests() {
  static constexpr Test tests[] = {
      {"interrupt.read", "a blocked read returns", FERRY_CAP_EPHEMERAL, read_is_interrupted},
      {"interrupt.write", "a blocked write returns", FERRY_CAP_EPHEMERAL, write_is_interrupted},
      {"interrupt.finish", "a blocked finish returns, and the connection can be closed", FERRY_CAP_EPHEMERAL,
       finish_is_interrupted},
      {"interrupt.both", "a blocked reader and writer both return", FERRY_CAP_EPHEMERAL,
       both_directions_are_interrupted},
      {"interrupt.accept", "a blocked accept returns, and later ones do at once", FERRY_CAP_EPHEMERAL,
       accept_is_interrupted},
      {"interrupt.connect", "a blocked connect is cancelled", FERRY_CAP_EPHEMERAL, connect_is_cancelled, 60},
      {"interrupt.cancel_unused", "a cancel handle does no harm", FERRY_CAP_EPHEMERAL, cancel_without_need},
      {"interrupt.permanent", "an interrupt is permanent, idempotent and loses no data", FERRY_CAP_EPHEMERAL,
       interrupt_is_permanent_and_harmless},
  };
  return tests;
}

}  // namespace ferry::conformance

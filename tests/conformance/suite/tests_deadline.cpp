// Deadlines: a call that must wait returns neither before its deadline nor long after it.
#include "flow.hpp"
#include "full_queue.hpp"
#include "suite.hpp"

namespace ferry::conformance {
namespace {

void read_keeps_its_deadline(Context& context) {
  Pair pair = context.pair();
  for (Connection* end : {&pair.client, &pair.server}) {
    std::uint8_t byte = 0;
    expect_deadlines("read", [&](std::int64_t deadline) { return end->read(&byte, 1, deadline); });
  }
}

void write_keeps_its_deadline(Context& context) {
  Pair pair = context.pair();
  std::uint64_t in_flight = fill_up(pair.client, most_bytes_in_flight);
  expect_deadlines("write",
                   [&](std::int64_t deadline) { return write_until_status(pair.client, in_flight, deadline); });
  expect_flow(pair.server, in_flight);
}

void accept_keeps_its_deadline(Context& context) {
  Listener listener = context.listen();
  Connection connection;
  expect_deadlines("accept", [&](std::int64_t deadline) { return listener.accept(deadline, connection); });
}

void connect_keeps_its_deadline(Context& context) {
  const auto queue = fill_queue(context);
  if (!queue) skip("connects to a listener that nobody serves never have to wait");
  Connection connection;
  expect_deadlines("connect", [&](std::int64_t deadline) {
    return context.transport().connect(queue->address, deadline, connection);
  });
}

void connect_without_waiting(Context& context) {
  Listener listener = context.listen();
  const std::string address = listener.local_address();
  for (int i = 0; i < 10; ++i) {
    Connection client;
    Error error;
    const std::int64_t start = now_ns();
    expect(context.transport().connect(address, FERRY_NO_WAIT, client, &error), {FERRY_OK, FERRY_WOULD_BLOCK},
           "connect without waiting");
    require(now_ns() - start < second, "connect without waiting took ", (now_ns() - start) / ms, " ms");
    if (client) {
      Connection server = context.accept(listener);
      send_flow(client, 10);
      expect_flow(server, 10);
    }
  }
  // Those that would have blocked must have disturbed nobody: the next client is served as if they had not been.
  Connection client;
  Connection server;
  context.connect_to(listener, client, server);
  send_flow(client, 10);
  expect_flow(server, 10);
}

void what_is_ready_needs_no_deadline(Context& context) {
  Pair pair = context.pair();
  const std::int64_t past = now_ns() - second;
  const std::uint8_t sent = pattern(0);
  expect(pair.client.write(&sent, 1, past), {1}, "write with room and a deadline past");
  std::uint8_t got = 0;
  expect_flow(pair.server, 1);
  send_flow(pair.client, 1);
  send_flow(pair.client, 1);
  expect_flow(pair.server, 1);  // now the second byte is there or about to be
  std::int64_t result = FERRY_TIMED_OUT;
  for (const std::int64_t until = soon(); result == FERRY_TIMED_OUT && now_ns() < until;) {
    result = pair.server.read(&got, 1, past);
  }
  expect(result, {1}, "read of what has arrived, with a deadline past");
}

void finish_keeps_its_deadline(Context& context) {
  Pair pair = context.pair();
  fill_up(pair.client, most_bytes_in_flight);
  std::int64_t best_late = INT64_MAX;
  for (const std::int64_t wait : {5 * ms, 50 * ms, 50 * ms}) {
    const std::int64_t start = now_ns();
    const ferry_status status = pair.client.finish(start + wait);
    expect(status, {FERRY_OK, FERRY_TIMED_OUT}, "finish towards a stalled reader");
    if (status == FERRY_OK) return;
    check_timing("finish", start, start + wait, best_late);
  }
  require(best_late <= tolerated_late_ns, "finish returned ", best_late / ms, " ms after its deadline");
  expect(pair.client.finish(FERRY_NO_WAIT), {FERRY_WOULD_BLOCK}, "finish without waiting, towards a stalled reader");
}

/// What a careless subtraction makes is a deadline long past, not one far ahead.
void negative_deadlines_are_past(Context& context) {
  Pair pair = context.pair();
  Connection connection;
  std::uint8_t byte = 0;
  for (const std::int64_t deadline : {std::int64_t{-1}, std::int64_t{INT64_MIN}}) {
    expect(pair.client.read(&byte, 1, deadline), {FERRY_TIMED_OUT}, "read with a negative deadline");
    expect(pair.listener.accept(deadline, connection), {FERRY_TIMED_OUT}, "accept with a negative deadline");
  }
}

}  // namespace

std::span<const Test> deadline_tests() {
  static constexpr Test tests[] = {
      {"deadline.read", "read", FERRY_CAP_EPHEMERAL, read_keeps_its_deadline},
      {"deadline.write", "write to a full connection", FERRY_CAP_EPHEMERAL, write_keeps_its_deadline},
      {"deadline.accept", "accept", FERRY_CAP_EPHEMERAL, accept_keeps_its_deadline},
      {"deadline.connect", "connect to a listener whose queue is full", FERRY_CAP_EPHEMERAL, connect_keeps_its_deadline,
       60},
      {"deadline.connect_no_wait", "connect with FERRY_NO_WAIT is done or disturbs nobody", FERRY_CAP_EPHEMERAL,
       connect_without_waiting},
      {"deadline.finish", "finish towards a reader that stalls", FERRY_CAP_EPHEMERAL, finish_keeps_its_deadline},
      {"deadline.negative", "a negative deadline is long past", FERRY_CAP_EPHEMERAL, negative_deadlines_are_past},
      {"deadline.ready", "what needs no waiting succeeds after its deadline", FERRY_CAP_EPHEMERAL,
       what_is_ready_needs_no_deadline},
  };
  return tests;
}

}  // namespace ferry::conformance

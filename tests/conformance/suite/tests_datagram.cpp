// Datagrams: records that may be lost, so each test repeats itself until something has arrived.
#include <future>
#include <thread>

#include "flow.hpp"
#include "suite.hpp"
#include "usage.hpp"
#include "wait.hpp"

namespace ferry::conformance {
namespace {

const ferry_datagrams& datagrams_of(Connection& connection) {
  const auto* datagrams = connection.extension_as<ferry_datagrams>(FERRY_EXT_DATAGRAMS);
  require(FERRY_HAS(datagrams, ferry_datagrams, open) && FERRY_HAS(datagrams, ferry_datagrams, max_size),
          "ferry.datagrams/1 is not whole");
  return *datagrams;
}

Connection open(Connection& connection) {
  ferry_connection* raw = nullptr;
  Error error;
  const ferry_datagrams& datagrams = datagrams_of(connection);
  {
    const CallMark mark(Call::datagrams_open);
    expect(datagrams.open(connection.get(), &raw, &error), {FERRY_OK}, "open of datagrams");
  }
  Connection out(raw);
  require(out.is_records(), "datagrams are not of kind FERRY_RECORDS");
  return out;
}

/// Sends the record until it has arrived.
void deliver(Connection& from, Connection& to, std::span<const std::uint8_t> record) {
  std::vector<std::uint8_t> bytes(65536);
  for (int attempt = 0; attempt < 50; ++attempt) {
    expect(from.write(record.data(), record.size(), soon()), {static_cast<std::int64_t>(record.size())}, "write");
    const std::int64_t until = in(200 * ms);
    for (;;) {
      const std::int64_t got = to.read(bytes.data(), bytes.size(), until);
      if (got == FERRY_TIMED_OUT) break;
      require(got >= 0, "read of a datagram returned ", result_text(got));
      if (std::equal(record.begin(), record.end(), bytes.begin(), bytes.begin() + got)) return;
    }
  }
  fail(concat("none of 50 datagrams of ", record.size(), " bytes arrived"));
}

void each_way(Context& context) {
  Pair pair = context.pair();
  Connection one = open(pair.client);
  Connection other = open(pair.server);
  require(one.info().max_record > 0 && datagrams_of(pair.client).max_size(pair.client.get()) >= one.info().max_record,
          "max_size is below max_record");
  std::vector<std::uint8_t> record(static_cast<std::size_t>(one.info().max_record));
  for (const std::size_t size : {std::size_t{1}, std::size_t{100}, record.size()}) {
    fill(std::span(record).first(size), 0);
    deliver(one, other, std::span(record).first(size));
    deliver(other, one, std::span(record).first(size));
  }
  send_flow(pair.client, 1000);
  expect_flow(pair.server, 1000);
}

void limits_are_kept(Context& context) {
  Pair pair = context.pair();
  Connection one = open(pair.client);
  Connection other = open(pair.server);
  const std::vector<std::uint8_t> large(65536);
  expect(one.write(large.data(), large.size(), soon()), {FERRY_TOO_LARGE}, "write of a datagram that fits no packet");
  expect_deadlines("read of a datagram", [&](std::int64_t deadline) {
    std::uint8_t byte = 0;
    return other.read(&byte, 1, deadline);
  });
  ferry_connection* second = nullptr;
  Error error;
  expect(datagrams_of(pair.client).open(pair.client.get(), &second, &error), {FERRY_ADDRESS_IN_USE}, "second open");
  const std::vector<std::uint8_t> record(100);
  std::vector<std::uint8_t> bytes(200);
  std::int64_t got = FERRY_TIMED_OUT;
  while (got == FERRY_TIMED_OUT) {
    expect(one.write(record.data(), record.size(), soon()), {100}, "write");
    got = other.read(bytes.data(), 10, in(100 * ms));
  }
  expect(got, {FERRY_TOO_LARGE}, "read with too little room");
  expect(other.read(bytes.data(), bytes.size(), soon()), {100}, "read with room enough");
}

void nobody_reads(Context& context) {
  Pair pair = context.pair();
  Connection one = open(pair.client);
  Connection other = open(pair.server);
  const std::vector<std::uint8_t> record(1000);
  const std::int64_t until = in(second);
  while (now_ns() < until) {
    expect(one.write(record.data(), record.size(), soon()), {1000}, "write");
  }
  std::uint64_t kept = 0;
  std::vector<std::uint8_t> bytes(2000);
  while (other.read(bytes.data(), bytes.size(), FERRY_NO_WAIT) > 0) ++kept;
  require(kept > 0 && kept < 5000, kept, " datagrams were kept for nobody");
  send_flow(pair.client, 100000);
  expect_flow(pair.server, 100000);
}

void wakes_and_interrupts(Context& context) {
  Pair pair = context.pair();
  Connection one = open(pair.client);
  Connection other = open(pair.server);
  const ferry_pollable pollable = other.pollable(FERRY_READ);
  std::uint8_t byte = 7;
  int arrived = 0;
  for (int round = 0; round < 100 && arrived < 20; ++round) {
    if (other.arm(FERRY_READ) == FERRY_ARMED) {
      expect(one.write(&byte, 1, soon()), {1}, "write");
      if (!becomes_ready(pollable, 200)) continue;  // it was lost
    }
    arrived += other.read(&byte, 1, FERRY_NO_WAIT) == 1 ? 1 : 0;
  }
  require(arrived == 20, arrived, " of 100 datagrams woke their reader");
  auto reading = std::async(std::launch::async, [&] { return other.read(&byte, 1, FERRY_FOREVER); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  other.interrupt();
  expect(reading.get(), {FERRY_INTERRUPTED}, "read of a datagram after interrupt");
  one.close();
  send_flow(pair.client, 1000);
  expect_flow(pair.server, 1000);
}

void the_end_is_told(Context& context) {
  Pair pair = context.pair();
  Connection other = open(pair.server);
  auto reading = std::async(std::launch::async, [&] {
    std::uint8_t byte = 0;
    return other.read(&byte, 1, soon());
  });
  pair.client.close();
  expect(reading.get(), {FERRY_END, FERRY_RESET}, "read of a datagram from nobody");
}

}  // namespace

std::span<const Test> datagram_tests() {
  constexpr std::uint64_t needs = FERRY_CAP_EPHEMERAL | FERRY_CAP_DATAGRAMS;
  static constexpr Test tests[] = {
      {"datagram.each_way", "one byte to the largest, each way", needs, each_way},
      {"datagram.limits", "deadlines, one handle, too large ones", needs, limits_are_kept},
      {"datagram.unread", "what nobody reads is bounded, and streams go on", needs, nobody_reads},
      {"datagram.wakes", "a datagram wakes a poller, an interrupt a reader", needs, wakes_and_interrupts},
      {"datagram.end", "a reader notices that the peer has gone", needs, the_end_is_told},
  };
  return tests;
}

}  // namespace ferry::conformance

// Further streams to the same peer: each a connection of its own that none of the others can hold up or end.
#include <future>
#include <list>
#include <thread>

#include "flow.hpp"
#include "suite.hpp"
#include "wait.hpp"

namespace ferry::conformance {
namespace {

const ferry_streams& streams_of(Connection& connection) {
  const auto* streams = connection.extension_as<ferry_streams>(FERRY_EXT_STREAMS);
  require(FERRY_HAS(streams, ferry_streams, open) && FERRY_HAS(streams, ferry_streams, listen) &&
              FERRY_HAS(streams, ferry_streams, reset) && FERRY_HAS(streams, ferry_streams, stop) &&
              FERRY_HAS(streams, ferry_streams, code),
          "ferry.streams/1 is not whole");
  return *streams;
}

ferry_status try_open(Connection& connection, std::int64_t deadline, Connection& out) {
  ferry_connection* raw = nullptr;
  Error error;
  const ferry_streams& streams = streams_of(connection);
  {
    const CallMark mark(Call::streams_open);
    const ferry_status status = streams.open(connection.get(), deadline, &raw, &error);
    if (status != FERRY_OK) return status;
  }
  out = Connection(raw);
  return FERRY_OK;
}

Connection open(Connection& connection) {
  Connection out;
  expect(try_open(connection, soon(), out), {FERRY_OK}, "open of a stream");
  return out;
}

Listener listen(Connection& connection) {
  ferry_listener* raw = nullptr;
  Error error;
  const ferry_streams& streams = streams_of(connection);
  const CallMark mark(Call::streams_listen);
  expect(streams.listen(connection.get(), &raw, &error), {FERRY_OK}, "listen for streams");
  return Listener(raw);
}

Connection accept(Listener& listener) {
  Connection out;
  expect(listener.accept(soon(), out), {FERRY_OK}, "accept of a stream");
  return out;
}

void reset(Connection& connection, std::uint64_t code) {
  const ferry_streams& streams = streams_of(connection);
  const CallMark mark(Call::streams_reset);
  expect(streams.reset(connection.get(), code), {FERRY_OK}, "reset of a stream");
}

void stop(Connection& connection, std::uint64_t code) {
  const ferry_streams& streams = streams_of(connection);
  const CallMark mark(Call::streams_stop);
  expect(streams.stop(connection.get(), code), {FERRY_OK}, "stop of a stream");
}

std::int64_t code(Connection& connection, ferry_interest direction) {
  return streams_of(connection).code(connection.get(), direction);
}

/// Bytes each way through both ends, ended by half-closes.
void exchange(Connection& one, Connection& other, std::uint64_t size, std::uint32_t seed) {
  auto there = std::async(std::launch::async, [&] {
    send_flow(one, size, 0, seed);
    expect(one.shutdown_write(), {FERRY_OK}, "shutdown_write");
    expect_flow(one, size, 0, seed + 1);
    expect_end(one);
  });
  expect_flow(other, size, 0, seed);
  expect_end(other);
  send_flow(other, size, 0, seed + 1);
  expect(other.shutdown_write(), {FERRY_OK}, "shutdown_write");
  there.get();
}

void both_ends_open(Context& context) {
  Pair pair = context.pair();
  Listener at_server = listen(pair.server);
  Listener at_client = listen(pair.client);
  for (std::uint32_t i = 0; i < 20; ++i) {
    const bool from_client = i % 2 == 0;
    Connection one = open(from_client ? pair.client : pair.server);
    Connection other = accept(from_client ? at_server : at_client);
    exchange(one, other, 1 + i * 9973, i);
  }
  exchange(pair.client, pair.server, 5000, 77);
}

void many_at_once(Context& context) {
  Pair pair = context.pair();
  Listener listener = listen(pair.server);
  auto serving = std::async(std::launch::async, [&] {
    std::list<std::future<void>> echoes;
    for (int i = 0; i < 50; ++i) {
      echoes.push_back(std::async(std::launch::async, [stream = std::make_shared<Connection>(accept(listener))] {
        std::vector<std::uint8_t> bytes(16384);
        std::int64_t got = 0;
        while ((got = stream->read(bytes.data(), bytes.size(), soon())) > 0) {
          write_all(*stream, std::span(bytes).first(static_cast<std::size_t>(got)));
        }
        expect(got, {FERRY_END}, "read of the echo");
        expect(stream->finish(soon()), {FERRY_OK}, "finish of the echo");
      }));
    }
    for (auto& echo : echoes) echo.get();
  });
  std::vector<Connection> streams;
  for (int i = 0; i < 50; ++i) streams.push_back(open(pair.client));
  for (std::uint32_t i = 0; i < 50; ++i) send_flow(streams[i], 3000 + i * 100, 0, i);
  for (Connection& stream : streams) expect(stream.shutdown_write(), {FERRY_OK}, "shutdown_write");
  for (std::uint32_t i = 50; i-- > 0;) {
    expect_flow(streams[i], 3000 + i * 100, 0, i);
    expect_end(streams[i]);
  }
  serving.get();
}

void one_after_another(Context& context) {
  Pair pair = context.pair();
  Listener listener = listen(pair.server);
  for (std::uint32_t i = 0; i < 1000; ++i) {
    Connection one = open(pair.client);
    std::uint8_t byte = static_cast<std::uint8_t>(i);
    write_all(one, {&byte, 1});
    Connection other = accept(listener);
    std::uint8_t got = 0;
    read_exact(other, {&got, 1});
    require(got == byte, "stream ", i, " is another");
    if (i % 3 == 0) {
      one.abort();
    } else {
      expect(one.finish(soon()), {FERRY_OK}, "finish");
      expect_end(other);
    }
  }
}

void unread_stream_holds_up_no_other(Context& context) {
  Pair pair = context.pair();
  Listener listener = listen(pair.server);
  Connection stalled = open(pair.client);
  Connection unread = accept(listener);
  (void)fill_up(stalled, most_bytes_in_flight);
  Connection one = open(pair.client);
  Connection other = accept(listener);
  exchange(one, other, 1u << 20, 3);
  exchange(pair.client, pair.server, 1u << 20, 5);
}

void ends_concern_one_stream(Context& context) {
  Pair pair = context.pair();
  Listener listener = listen(pair.server);
  Connection one = open(pair.client);
  Connection other = accept(listener);
  Connection third = open(pair.client);
  Connection fourth = accept(listener);
  third.abort();
  std::uint8_t byte = 0;
  expect(fourth.read(&byte, 1, soon()), {FERRY_RESET}, "read of a stream that was aborted");
  expect(pair.client.finish(soon()), {FERRY_OK}, "finish of the first stream");
  pair.client.close();
  expect_end(pair.server);
  pair.server.close();
  exchange(one, other, 100000, 9);
}

void the_last_handle_ends_it(Context& context) {
  Pair pair = context.pair();
  Listener listener = listen(pair.server);
  Connection one = open(pair.client);
  Connection other = accept(listener);
  pair.client.close();
  one.close();
  expect_end(other);
  Connection none;
  expect(listener.accept(soon(), none), {FERRY_CLOSED}, "accept of a stream where nobody is connected");
}

void codes_arrive(Context& context) {
  Pair pair = context.pair();
  Listener listener = listen(pair.server);
  Connection one = open(pair.client);
  Connection other = accept(listener);
  expect(code(other, FERRY_READ), {FERRY_WOULD_BLOCK}, "code before any");
  send_flow(one, 1000);
  expect_flow(other, 1000);
  reset(one, 4711);
  std::uint8_t byte = 0;
  expect(other.read(&byte, 1, soon()), {FERRY_RESET}, "read of a stream that was reset");
  expect(code(other, FERRY_READ), {4711}, "code of the reset");
  expect(one.write(&byte, 1, soon()), {FERRY_CLOSED}, "write after our reset");
  send_flow(other, 1000, 0, 1);  // the other direction lives
  expect_flow(one, 1000, 0, 1);
  stop(one, (std::uint64_t{1} << 62) - 1);
  expect(one.read(&byte, 1, soon()), {FERRY_CLOSED}, "read after our stop");
  std::uint64_t position = 0;
  expect(write_until_status(other, position, soon()), {FERRY_RESET}, "write to a stream that was stopped");
  expect(code(other, FERRY_WRITE), {(std::int64_t{1} << 62) - 1}, "code of the stop");
  const ferry_streams& streams = streams_of(one);
  expect(streams.reset(one.get(), std::uint64_t{1} << 62), {FERRY_INVALID}, "a code that is too large");
  exchange(pair.client, pair.server, 5000, 7);
}

void open_waits_for_the_peer(Context& context) {
  Pair pair = context.pair();
  expect_deadlines("open of a stream that the peer does not allow", [&](std::int64_t deadline) {
    Connection none;
    return std::int64_t{try_open(pair.client, deadline, none)};
  });
  auto opening = std::async(std::launch::async, [&] { return open(pair.client); });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  Listener listener = listen(pair.server);
  Connection one = opening.get();
  Connection other = accept(listener);
  exchange(one, other, 100, 1);
  expect_deadlines("accept of a stream", [&](std::int64_t deadline) {
    Connection none;
    return std::int64_t{listener.accept(deadline, none)};
  });
  ferry_listener* second = nullptr;
  Error error;
  expect(streams_of(pair.server).listen(pair.server.get(), &second, &error), {FERRY_ADDRESS_IN_USE}, "second listen");
}

void waits_are_interrupted(Context& context) {
  Pair pair = context.pair();
  auto opening = std::async(std::launch::async, [&] {
    Connection none;
    return try_open(pair.client, FERRY_FOREVER, none);
  });
  Listener listener = listen(pair.client);
  auto accepting = std::async(std::launch::async, [&] {
    Connection none;
    return listener.accept(FERRY_FOREVER, none);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  listener.interrupt();
  pair.client.interrupt();
  expect(opening.get(), {FERRY_INTERRUPTED}, "open of a stream after interrupt");
  expect(accepting.get(), {FERRY_INTERRUPTED}, "accept of a stream after interrupt");
}

void accept_wakes(Context& context) {
  Pair pair = context.pair();
  Listener listener = listen(pair.server);
  const ferry_pollable pollable = listener.pollable();
  for (int round = 0; round < 50; ++round) {
    auto opening = std::async(std::launch::async, [&] { return open(pair.client); });
    Connection other;
    while (listener.accept(FERRY_NO_WAIT, other) != FERRY_OK) {
      if (listener.arm() == FERRY_ARMED) require(becomes_ready(pollable, 5000), "no wake-up for a stream");
    }
    Connection one = opening.get();
    exchange(one, other, 10, 1);
  }
}

}  // namespace

std::span<const Test> stream_tests() {
  constexpr std::uint64_t needs = FERRY_CAP_EPHEMERAL | FERRY_CAP_STREAMS;
  static constexpr Test tests[] = {
      {"stream.both_ends", "each end opens streams; bytes and ends each way", needs, both_ends_open},
      {"stream.many", "50 at once, each its own", needs, many_at_once},
      {"stream.turns", "1,000 one after another: what is over makes room", needs, one_after_another, 60},
      {"stream.unread", "one that is not read holds up no other", needs, unread_stream_holds_up_no_other},
      {"stream.ends", "an end or an abort concerns one stream alone", needs, ends_concern_one_stream},
      {"stream.last", "with the last handle the peers part, and accept says so", needs, the_last_handle_ends_it},
      {"stream.codes", "reset and stop end one direction each, and their codes arrive", needs, codes_arrive},
      {"stream.waits", "open and accept keep their deadlines, and wait for the peer", needs, open_waits_for_the_peer},
      {"stream.interrupt", "a blocked open and a blocked accept return", needs, waits_are_interrupted},
      {"stream.arm", "arm and poll lose no stream", needs, accept_wakes},
  };
  return tests;
}

}  // namespace ferry::conformance

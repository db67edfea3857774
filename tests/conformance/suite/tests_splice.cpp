// ferry.splice/1: bytes that pass through pipes of the system are the connection's bytes, in order, each once.
#include <algorithm>
#include <future>

#include "flow.hpp"
#include "open_pipe.hpp"
#include "suite.hpp"
#include "wait.hpp"

namespace ferry::conformance {
namespace {

constexpr int patience_ms = 10'000;

void wait_until_ready(Connection& end, ferry_interest interest) {
  if (end.arm(interest) != FERRY_ARMED) return;
  require(becomes_ready(end.pollable(interest), patience_ms), "what would have blocked never became ready");
}

std::int64_t splice_into(Connection& from, const ferry_splice& splice, const OpenPipe& pipe, std::uint64_t size) {
  const CallMark mark(Call::splice_receive);
  return splice.receive(from.get(), pipe.input(), size);
}

std::int64_t splice_out(Connection& to, const ferry_splice& splice, std::int64_t pipe, std::uint64_t size) {
  const CallMark mark(Call::splice_send);
  return splice.send(to.get(), pipe, size);
}

void bytes_are_spliced_in(Context& context) {
  Pair pair = context.pair();
  const auto* splice = pair.server.extension_as<ferry_splice>(FERRY_EXT_SPLICE);
  if (!FERRY_HAS(splice, ferry_splice, receive)) skip("the plugin does not receive into pipes");
  const OpenPipe pipe;
  expect(splice_into(pair.server, *splice, pipe, 100), {FERRY_WOULD_BLOCK}, "receive of nothing");
  constexpr std::uint64_t total = (1u << 20) + 17;
  auto writing = std::async(std::launch::async, [&] {
    send_flow(pair.client, total);
    expect(pair.client.shutdown_write(), {FERRY_OK}, "shutdown_write");
  });
  std::vector<std::uint8_t> bytes(64u << 10);
  std::uint64_t position = 0;
  for (std::uint64_t round = 0; position < total; ++round) {
    if (round % 4 == 3) {  // plain reads in between keep the order
      const std::uint64_t size = std::min<std::uint64_t>(1000, total - position);
      expect_flow(pair.server, size, position);
      position += size;
      continue;
    }
    const std::int64_t moved = splice_into(pair.server, *splice, pipe, round % 4 == 2 ? 100 : bytes.size());
    if (moved == FERRY_WOULD_BLOCK) {
      wait_until_ready(pair.server, FERRY_READ);
      continue;
    }
    require(moved > 0, "receive returned ", result_text(moved));
    const std::span<std::uint8_t> got(bytes.data(), static_cast<std::size_t>(moved));
    pipe.read(got);
    check(got, position);
    position += got.size();
  }
  writing.get();
  for (int i = 0; i < 2; ++i) {
    const std::int64_t end = splice_into(pair.server, *splice, pipe, 100);
    expect(end, {FERRY_END}, "receive at the end");
  }
  expect_end(pair.server);
}

void a_full_pipe_leaves_bytes_where_they_are(Context& context) {
  Pair pair = context.pair();
  const auto* splice = pair.server.extension_as<ferry_splice>(FERRY_EXT_SPLICE);
  if (!FERRY_HAS(splice, ferry_splice, receive)) skip("the plugin does not receive into pipes");
  OpenPipe pipe;
  pipe.fill_up();
  send_flow(pair.client, 1000);
  expect(splice_into(pair.server, *splice, pipe, 1000), {FERRY_WOULD_BLOCK}, "receive into a full pipe");
  pipe.close_output();
  expect(splice_into(pair.server, *splice, pipe, 1000), {FERRY_UNSUPPORTED}, "receive into a pipe that nobody reads");
  expect_flow(pair.server, 1000);
}

void bytes_are_spliced_out(Context& context) {
  Pair pair = context.pair();
  const auto* splice = pair.client.extension_as<ferry_splice>(FERRY_EXT_SPLICE);
  if (!FERRY_HAS(splice, ferry_splice, send)) skip("the plugin does not send from pipes");
  OpenPipe pipe;
  expect(splice_out(pair.client, *splice, pipe.output(), 100), {FERRY_WOULD_BLOCK}, "send from an empty pipe");
  constexpr std::uint64_t total = (1u << 20) + 17;
  auto reading = std::async(std::launch::async, [&] {
    expect_flow(pair.server, total);
    expect_end(pair.server);
  });
  std::vector<std::uint8_t> bytes(10'000);
  for (std::uint64_t position = 0; position < total;) {
    const std::uint64_t size = std::min<std::uint64_t>(bytes.size(), total - position);
    if (position % 3 == 0) {  // plain writes in between keep the order
      send_flow(pair.client, size, position);
      position += size;
      continue;
    }
    fill({bytes.data(), static_cast<std::size_t>(size)}, position);
    pipe.write({bytes.data(), static_cast<std::size_t>(size)});
    for (std::uint64_t left = size; left > 0;) {
      const std::int64_t moved = splice_out(pair.client, *splice, pipe.output(), left);
      if (moved == FERRY_WOULD_BLOCK) {
        wait_until_ready(pair.client, FERRY_WRITE);
        continue;
      }
      require(moved > 0, "send returned ", result_text(moved));
      left -= static_cast<std::uint64_t>(moved);
    }
    position += size;
  }
  pipe.close_input();
  expect(splice_out(pair.client, *splice, pipe.output(), 100), {FERRY_END}, "send from a pipe at its end");
  expect(pair.client.shutdown_write(), {FERRY_OK}, "shutdown_write");
  reading.get();
}

void a_full_connection_leaves_bytes_in_the_pipe(Context& context) {
  Pair pair = context.pair();
  const auto* splice = pair.client.extension_as<ferry_splice>(FERRY_EXT_SPLICE);
  if (!FERRY_HAS(splice, ferry_splice, send)) skip("the plugin does not send from pipes");
  const OpenPipe pipe;
  std::vector<std::uint8_t> bytes(1000);
  const std::uint64_t filled = fill_up(pair.client, most_bytes_in_flight);
  fill(bytes, filled);
  pipe.write(bytes);
  expect(splice_out(pair.client, *splice, pipe.output(), bytes.size()), {FERRY_WOULD_BLOCK}, "send while it is full");
  std::vector<std::uint8_t> left(bytes.size());
  pipe.read(left);
  require(left == bytes, "bytes that were not sent are not in the pipe");
  pair.server.abort();
  pipe.write(bytes);
  std::int64_t sent = 0;
  for (int i = 0; i < 100 && sent != FERRY_RESET; ++i) {
    sent = splice_out(pair.client, *splice, pipe.output(), bytes.size());
    require(sent == FERRY_RESET || sent == FERRY_WOULD_BLOCK, "send to a peer that has gone returned ",
            result_text(sent));
    static_cast<void>(pair.client.arm(FERRY_WRITE));
  }
  expect(sent, {FERRY_RESET}, "send to a peer that has gone");
}

void its_own_pipes_carry_it(Context& context) {
  Pair pair = context.pair();
  const auto* splice = pair.client.extension_as<ferry_splice>(FERRY_EXT_SPLICE);
  if (!FERRY_HAS(splice, ferry_splice, pipe)) skip("the plugin's connections do not stand on pipes");
  const auto pipe_of = [&](Connection& end, ferry_interest interest) {
    const CallMark mark(Call::splice_pipe);
    return splice->pipe(end.get(), interest);
  };
  const OpenPipe between;
  std::vector<std::uint8_t> bytes(20'000);
  fill(bytes, 0);
  between.write(bytes);
  between.move_to(pipe_of(pair.client, FERRY_WRITE), 10'000);
  std::vector<std::uint8_t> rest(10'000);
  between.read(rest);
  write_all(pair.client, rest);
  between.move_from(pipe_of(pair.server, FERRY_READ), 15'000);
  std::vector<std::uint8_t> got(15'000);
  between.read(got);
  check(got, 0);
  expect_flow(pair.server, 5'000, 15'000);
  expect(pair.client.shutdown_write(), {FERRY_OK}, "shutdown_write");
  expect(pipe_of(pair.client, FERRY_WRITE), {FERRY_CLOSED}, "pipe after shutdown_write");
  require(pipe_of(pair.client, FERRY_READ) >= 0, "a half-close took the pipe of the other direction");
}

}  // namespace

std::span<const Test> splice_tests() {
  static constexpr Test tests[] = {
      {"splice.receive", "bytes move into a pipe", FERRY_CAP_EPHEMERAL | FERRY_CAP_HALF_CLOSE, bytes_are_spliced_in},
      {"splice.receive_full", "a pipe without room or reader takes nothing", FERRY_CAP_EPHEMERAL,
       a_full_pipe_leaves_bytes_where_they_are},
      {"splice.send", "bytes move out of a pipe", FERRY_CAP_EPHEMERAL | FERRY_CAP_HALF_CLOSE, bytes_are_spliced_out},
      {"splice.send_full", "what a connection has no room for stays in the pipe", FERRY_CAP_EPHEMERAL,
       a_full_connection_leaves_bytes_in_the_pipe},
      {"splice.pipe", "bytes put into and taken from its own pipes are its own",
       FERRY_CAP_EPHEMERAL | FERRY_CAP_HALF_CLOSE, its_own_pipes_carry_it},
  };
  return tests;
}

}  // namespace ferry::conformance

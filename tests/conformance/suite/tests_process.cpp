// Peers that die or freeze, as real processes do.
#include <future>

#include "flow.hpp"
#include "peer.hpp"
#include "suite.hpp"

namespace ferry::conformance {
namespace {

/// A transport that must notice by itself that its peer is gone may take its idle time-out.
std::int64_t notice_limit(Context& context) { return context.has(FERRY_CAP_LOCAL) ? 5 * second : 90 * second; }

Connection accept_peer(Context& context, Peer& peer, Listener& listener) {
  peer.send("connect " + listener.local_address());
  Connection server = context.accept(listener);
  require(peer.answer() == "ok", "the second process did not connect");
  return server;
}

void killed_peer_is_noticed(Context& context) {
  Peer idle(context);
  Peer reader(context);
  Listener listener = context.listen();
  Connection from_idle = accept_peer(context, idle, listener);
  Connection to_reader = accept_peer(context, reader, listener);
  std::uint64_t position = fill_up(to_reader, most_bytes_in_flight);
  const std::int64_t limit = notice_limit(context);
  auto reading = std::async(std::launch::async, [&] {
    std::uint8_t byte = 0;
    return from_idle.read(&byte, 1, in(limit));
  });
  auto writing = std::async(std::launch::async, [&] { return write_until_status(to_reader, position, in(limit)); });
  idle.kill();
  reader.kill();
  expect(reading.get(), {FERRY_END, FERRY_RESET}, "read from a peer that was killed");
  expect(writing.get(), {FERRY_RESET}, "write to a peer that was killed");
}

void bytes_of_a_killed_peer(Context& context) {
  Peer peer(context);
  Listener listener = context.listen();
  Connection server = accept_peer(context, peer, listener);
  require(peer.ask("write 5000") == "ok", "the second process did not write");
  expect_flow(server, 100 < server.chunk() && context.has(FERRY_CAP_STREAM) ? 100 : 5000);
  peer.kill();
  std::vector<std::uint8_t> bytes(server.chunk());
  std::uint64_t position = context.has(FERRY_CAP_STREAM) ? 100 : 5000;
  while (true) {
    const std::int64_t got = server.read(bytes.data(), bytes.size(), in(notice_limit(context)));
    if (got <= 0) {
      expect(got, {FERRY_END, FERRY_RESET}, "read from a peer that was killed");
      require(position == 5000 || !context.has(FERRY_CAP_LOCAL), "only ", position,
              " of 5000 bytes that a local peer had written arrived after it was killed");
      return;
    }
    check(std::span(bytes).first(static_cast<std::size_t>(got)), position);
    position += static_cast<std::uint64_t>(got);
  }
}

void killed_listener_refuses(Context& context) {
  Peer peer(context);
  const std::string address = peer.ask("listen");
  peer.kill();
  Connection connection;
  Error error;
  const ferry_status status = context.transport().connect(address, in(notice_limit(context)), connection, &error);
  expect(status, {FERRY_REFUSED, FERRY_NOT_FOUND, FERRY_RESET, FERRY_TIMED_OUT, FERRY_UNREACHABLE},
         "connect to a listener whose process was killed");
  require(!context.has(FERRY_CAP_LOCAL) || status != FERRY_TIMED_OUT, "a dead local listener is not noticed");
  text_of(error, status, "connect");
}

void stopped_peer_goes_on(Context& context) {
  Peer peer(context);
  Listener listener = context.listen();
  Connection server = accept_peer(context, peer, listener);
  peer.send("echo");
  send_flow(server, 10);
  expect_flow(server, 10);
  peer.stop();
  std::uint8_t byte = 0;
  expect_deadlines("read from a stopped peer", [&](std::int64_t deadline) { return server.read(&byte, 1, deadline); });
  constexpr std::uint64_t total = 3u << 20;
  auto writing = std::async(std::launch::async, [&] { send_flow(server, total); });
  writing.wait_for(std::chrono::milliseconds(50));
  peer.go_on();
  std::vector<std::uint8_t> bytes(server.chunk());
  for (std::uint64_t position = 0; position < total;) {
    const std::int64_t got = server.read(bytes.data(), bytes.size(), soon());
    require(got > 0, "read after the peer was continued returned ", result_text(got));
    check(std::span(bytes).first(static_cast<std::size_t>(got)), position);
    position += static_cast<std::uint64_t>(got);
  }
  writing.get();
}

}  // namespace

std::span<const Test> process_tests() {
  static constexpr Test tests[] = {
      {"process.killed", "a blocked reader and writer notice that the peer was killed", FERRY_CAP_EPHEMERAL,
       killed_peer_is_noticed, 120},
      {"process.last_bytes", "what a local peer wrote before it was killed arrives", FERRY_CAP_EPHEMERAL,
       bytes_of_a_killed_peer, 120},
      {"process.killed_listener", "connecting to a killed listener fails, with a reason", FERRY_CAP_EPHEMERAL,
       killed_listener_refuses, 120},
      {"process.stopped", "a stopped peer costs time only", FERRY_CAP_EPHEMERAL, stopped_peer_goes_on},
  };
  return tests;
}

}  // namespace ferry::conformance

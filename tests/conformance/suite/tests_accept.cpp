// Listeners: many clients, rude clients, slow clients.
#include <future>
#include <thread>

#include "flow.hpp"
#include "peer.hpp"
#include "suite.hpp"
#include "wait.hpp"

namespace ferry::conformance {
namespace {

void fifty_at_once(Context& context) {
  constexpr std::uint32_t count = 50;
  Listener listener = context.listen();
  const std::string address = listener.local_address();
  std::vector<Connection> clients(count);
  auto connecting = std::async(std::launch::async, [&] {
    for (Connection& client : clients) client = context.connect(address);
  });
  std::vector<Connection> servers(count);
  for (Connection& server : servers) server = context.accept(listener);
  connecting.get();
  // Each client says its number, because accept gives no order that could be relied on.
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto number = static_cast<std::uint8_t>(i);
    write_all(clients[i], {&number, 1});
  }
  for (Connection& server : servers) {
    std::uint8_t number = 0;
    read_exact(server, {&number, 1});
    send_flow(server, 2000, 0, number);
  }
  for (std::uint32_t i = 0; i < count; ++i) expect_flow(clients[i], 2000, 0, i);
}

void connections_outlive_their_listener(Context& context) {
  Pair pair = context.pair();
  pair.listener.close();
  send_flow(pair.client, 5000);
  expect_flow(pair.server, 5000);
  send_flow(pair.server, 5000);
  expect_flow(pair.client, 5000);
}

/// Serves rude clients until `good` has connected; each may be accepted or reported, but none may end the listener.
void accept_until_good(Listener& listener, std::future<void>& good) {
  while (good.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
    Connection server;
    expect(listener.accept(in(50 * ms), server),
           {FERRY_OK, FERRY_TIMED_OUT, FERRY_RESET, FERRY_PROTOCOL, FERRY_AUTHENTICATION, FERRY_PERMISSION},
           "accept beside rude clients");
    if (!server) continue;
    std::uint8_t hello = 0;
    if (server.read(&hello, 1, in(20 * ms)) == 1 && hello == 'G') send_flow(server, 1);
  }
  good.get();
}

/// Empty when accept_until_good gave up on the connection before all that it offers had been taken: on a busy machine
/// it finds a client quiet that is still connecting.
Connection connect_beside(Context& context, const std::string& address) {
  Connection client;
  expect(context.transport().connect(address, soon(), client), {FERRY_OK, FERRY_RESET}, "connect beside rude clients");
  return client;
}

void good_client(Context& context, const std::string& address) {
  // A server may give up on a quiet connection while this machine is busy: a few attempts.
  for (int attempt = 0; attempt < 20; ++attempt) {
    Connection client = connect_beside(context, address);
    if (!client) continue;
    const std::uint8_t hello = 'G';
    if (client.write(&hello, 1, soon()) != 1) continue;
    std::uint8_t first = 0;
    if (client.read(&first, 1, in(second)) != 1) continue;
    return check({&first, 1}, 0);
  }
  fail("a good client found no service beside rude ones");
}

void clients_that_leave_early(Context& context) {
  Listener listener = context.listen();
  const std::string address = listener.local_address();
  auto good = std::async(std::launch::async, [&] {
    for (int i = 0; i < 20; ++i) {
      Connection client = connect_beside(context, address);
      if (client && i % 2 == 0) client.abort();
    }
    good_client(context, address);
  });
  accept_until_good(listener, good);
}

void slow_clients_block_nobody(Context& context) {
  Peer dialler(context);
  Listener listener = context.listen();
  const std::string address = listener.local_address();
  require(dialler.ask("dial " + address) == "ok", "the second process does not dial");
  // The dialling process is stopped at uneven moments, so some of the stops fall into a handshake.
  for (int round = 0; round < 12; ++round) {
    const std::int64_t until = in((round * 37 % 11) * 100'000);
    auto nothing = std::async(std::launch::async, [until] {
      while (now_ns() < until) std::this_thread::yield();
    });
    accept_until_good(listener, nothing);
    dialler.stop();
    auto good = std::async(std::launch::async, [&] { good_client(context, address); });
    accept_until_good(listener, good);
    dialler.go_on();
  }
}

void silent_clients_block_nobody(Context& context) {
  Listener listener = context.listen();
  const std::string address = listener.local_address();
  std::vector<Connection> silent(10);
  auto good = std::async(std::launch::async, [&] {
    for (Connection& client : silent) client = connect_beside(context, address);
    good_client(context, address);
  });
  accept_until_good(listener, good);
}

void accept_wakes_from_poll(Context& context) {
  Listener listener = context.listen();
  const std::string address = listener.local_address();
  const ferry_pollable pollable = listener.pollable();
  constexpr int rounds = 300;
  auto connecting = std::async(std::launch::async, [&] {
    for (int i = 0; i < rounds; ++i) {
      Connection client = context.connect(address);
      expect_end(client);
    }
  });
  for (int i = 0; i < rounds; ++i) {
    while (true) {
      const std::int32_t armed = listener.arm();
      expect(armed, {FERRY_ARMED, FERRY_READY}, "listener arm");
      if (armed == FERRY_ARMED) {
        require(becomes_ready(pollable, 5000), "the listener was armed and did not wake for a client in round ", i);
      }
      Connection server;
      const ferry_status status = listener.accept(FERRY_NO_WAIT, server);
      if (status == FERRY_WOULD_BLOCK) continue;
      expect(status, {FERRY_OK}, "accept after arm");
      expect(server.finish(soon()), {FERRY_OK}, "finish");
      break;
    }
  }
  connecting.get();
}

}  // namespace

std::span<const Test> accept_tests() {
  static constexpr Test tests[] = {
      {"accept.fifty", "50 connections at once, each its own", FERRY_CAP_EPHEMERAL, fifty_at_once},
      {"accept.outlive", "connections outlive their listener", FERRY_CAP_EPHEMERAL, connections_outlive_their_listener},
      {"accept.early_leavers", "clients that leave before accept harm nobody", FERRY_CAP_EPHEMERAL,
       clients_that_leave_early},
      {"accept.silent", "clients that say nothing block nobody", FERRY_CAP_EPHEMERAL, silent_clients_block_nobody},
      {"accept.slow", "clients stopped in the middle of connecting block nobody", FERRY_CAP_EPHEMERAL,
       slow_clients_block_nobody},
      {"accept.arm", "arm and poll lose no client", FERRY_CAP_EPHEMERAL, accept_wakes_from_poll},
  };
  return tests;
}

}  // namespace ferry::conformance

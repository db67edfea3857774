// Life of a connection through the ABI: addresses, refusals, ends, resets, graceful closes.
#include <sys/resource.h>
#include <sys/wait.h>

#include <string>
#include <thread>

#include "tcp_test_support.hpp"

using namespace ferry::tcp;
using namespace ferry::tcp::test;

TEST_CASE_FIXTURE(NoLeak, "bytes go both ways and each end knows both addresses") {
  Transport transport;
  Listener listener = transport.listen("127.0.0.1:auto");
  Connection client = transport.connect(listener.address());
  Connection server = listener.accept();
  char buffer[8] = {};
  CHECK(client.write("ping", 4) == 4);
  CHECK(server.read(buffer, sizeof(buffer)) == 4);
  CHECK(server.write("pong!", 5) == 5);
  CHECK(client.read(buffer, sizeof(buffer)) == 5);
  CHECK(std::string(buffer, 5) == "pong!");
  CHECK(std::string(client.info().peer_address) == listener.address());
  CHECK(std::string(client.info().local_address) == std::string(server.info().peer_address));
  CHECK(std::string(client.info().peer_address) == std::string(server.info().local_address));
  CHECK(client.info().kind == FERRY_STREAM);
}

TEST_CASE_FIXTURE(NoLeak, "IPv6 addresses are written in brackets and dialable") {
  Transport transport;
  if (!have_ipv6(transport)) return;
  Listener listener = transport.listen("[::1]:0");
  CHECK(listener.address().starts_with("[::1]:"));
  Connection client = transport.connect(listener.address());
  Connection server = listener.accept();
  CHECK(std::string(client.info().peer_address) == listener.address());
  CHECK(std::string(server.info().peer_address).starts_with("[::1]:"));
}

TEST_CASE_FIXTURE(NoLeak, "a listener at every interface serves IPv4 and IPv6, and its address can be dialled") {
  Transport transport;
  Listener listener = transport.listen("*:0");
  const std::string port = listener.address().substr(listener.address().rfind(':'));
  for (const std::string& host : {listener.address(), "127.0.0.1" + port, "localhost" + port}) {
    Connection client = transport.connect(host);
    CHECK(listener.accept());
  }
  Connection at_once;
  CHECK(transport.try_connect(listener.address(), at_once, nullptr, FERRY_NO_WAIT) == FERRY_OK);
  CHECK(listener.accept());
  if (!have_ipv6(transport)) return;
  Connection client = transport.connect("[::1]" + port);
  CHECK(listener.accept());
  Listener only_ipv4 = transport.listen("*:0", Values().set_text(option_family, "ipv4"));
  CHECK(only_ipv4.address().starts_with("0.0.0.0:"));
}

TEST_CASE_FIXTURE(NoLeak, "an address that can only be listened at is refused by connect") {
  Transport transport;
  Connection none;
  Error error;
  for (const char* address : {"127.0.0.1:0", "127.0.0.1:auto", "*:7000", ":7000"}) {
    CHECK(transport.try_connect(address, none, &error) == FERRY_INVALID);
    CHECK(error.text().find("only be listened at") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(NoLeak, "a refused connect says that nobody listens, where, and what to look at") {
  Transport transport;
  const ClosedPort closed;
  const std::string& address = closed.address();
  Connection none;
  Error error;
  CHECK(transport.try_connect(address, none, &error) == FERRY_REFUSED);
  CHECK(error.os_error == ECONNREFUSED);
  CHECK(error.text().find(address) != std::string::npos);
  CHECK(error.text().find("is the service running?") != std::string::npos);
}

TEST_CASE_FIXTURE(NoLeak, "a host that does not exist is told from one that does not answer") {
  Transport transport;
  Connection none;
  Error error;
  const ferry_status status = transport.try_connect("no-such-host.invalid:7000", none, &error);
  CHECK((status == FERRY_NOT_FOUND || status == FERRY_UNREACHABLE));  // the latter where no name server is reachable
  CHECK(error.text().find("no-such-host.invalid") != std::string::npos);
}

TEST_CASE_FIXTURE(NoLeak, "without waiting, connect reaches a ready loopback listener and nothing else") {
  Transport transport;
  Listener listener = transport.listen();
  Connection client;
  CHECK(transport.try_connect(listener.address(), client, nullptr, FERRY_NO_WAIT) == FERRY_OK);
  Connection server = listener.accept();
  BlackHole black_hole(transport);
  Connection none;
  CHECK(transport.try_connect(black_hole.address(), none, nullptr, FERRY_NO_WAIT) == FERRY_WOULD_BLOCK);
  CHECK(transport.try_connect("localhost:7", none, nullptr, FERRY_NO_WAIT) == FERRY_WOULD_BLOCK);
  CHECK(transport.try_connect("192.0.2.1:7", none, nullptr, FERRY_NO_WAIT) == FERRY_WOULD_BLOCK);
  CHECK(transport.try_connect("192.0.2.1:7", none, nullptr, in_ms(-1)) == FERRY_TIMED_OUT);
}

TEST_CASE_FIXTURE(NoLeak, "a port in use and an address of another machine are refused with what to do") {
  Transport transport;
  Listener listener = transport.listen();
  Error error;
  CHECK(transport.try_listen(listener.address(), &error) == FERRY_ADDRESS_IN_USE);
  CHECK(error.os_error == EADDRINUSE);
  CHECK(error.text().find("choose another port") != std::string::npos);
  CHECK(transport.try_listen("192.0.2.77:0", &error) == FERRY_NOT_FOUND);
  CHECK(error.text().find("no interface") != std::string::npos);
}

TEST_CASE("a low port without the right is refused and the message names the right") {
  int first_free = 0;
  std::ifstream("/proc/sys/net/ipv4/ip_unprivileged_port_start") >> first_free;
  if (first_free <= 1) {
    MESSAGE("skipped, every port is free for all here");
    return;
  }
  tcp_plugin();  // read before the child loses the right to
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(2);
    Transport transport;
    Error error;
    const ferry_status status = transport.try_listen("127.0.0.1:1", &error);
    _exit(status == FERRY_PERMISSION && error.text().find("CAP_NET_BIND_SERVICE") != std::string::npos ? 0 : 1);
  }
  int result = 0;
  REQUIRE(waitpid(child, &result, 0) == child);
  CHECK(result == 0);
}

TEST_CASE_FIXTURE(NoLeak, "several listeners share a port with reuse_port") {
  Transport transport;
  const Values shared = Values().set(option_reuse_port, 1);
  Listener first = transport.listen("127.0.0.1:0", shared);
  Listener second = transport.listen(first.address(), shared);
  CHECK(first.address() == second.address());
}

TEST_CASE_FIXTURE(NoLeak, "out of descriptors, accept says so and the client stays queued") {
  Transport transport;
  Listener listener = transport.listen();
  Connection client = transport.connect(listener.address());
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit full{static_cast<rlim_t>(dup(0)), before.rlim_max};  // the lowest free descriptor is beyond the limit
  ::close(static_cast<int>(full.rlim_cur));
  REQUIRE(setrlimit(RLIMIT_NOFILE, &full) == 0);
  Connection server;
  Error error;
  const ferry_status status = listener.accept(server, soon(), &error);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(status == FERRY_NO_RESOURCES);
  CHECK(error.os_error == EMFILE);
  CHECK(listener.accept(server) == FERRY_OK);
}

TEST_CASE_FIXTURE(NoLeak, "after a half-close the peer reads the end and can still reply") {
  Pair pair;
  CHECK(pair.client.write("question", 8) == 8);
  CHECK(pair.client.shutdown_write() == FERRY_OK);
  CHECK(pair.client.shutdown_write() == FERRY_OK);
  std::int64_t last = 0;
  CHECK(pair.server.read_all(last) == "question");
  CHECK(last == FERRY_END);
  CHECK(pair.server.write("answer", 6) == 6);
  char buffer[16];
  CHECK(pair.client.read(buffer, sizeof(buffer)) == 6);
  CHECK(pair.client.write("x", 1) == FERRY_CLOSED);
}

TEST_CASE_FIXTURE(NoLeak, "abort is a reset to the peer, after the data that had arrived") {
  Pair pair;
  CHECK(pair.client.write("last words", 10) == 10);
  pair.server.await_input();
  pair.client.abort();
  std::int64_t last = 0;
  CHECK(pair.server.read_all(last) == "last words");
  CHECK(last == FERRY_RESET);
  CHECK(pair.server.read_all(last).empty());
  CHECK(last == FERRY_RESET);
  const std::int64_t written = pair.server.write("x", 1);
  CHECK(written == FERRY_RESET);
  CHECK(std::string(pair.server.info().peer_address).starts_with("127.0.0.1:"));
}

TEST_CASE_FIXTURE(NoLeak, "the peer's process being killed is an end or a reset, never silence") {
  Transport transport;
  Listener listener = transport.listen();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    Connection client = transport.connect(listener.address());
    for (;;) pause();
  }
  Connection server = listener.accept();
  REQUIRE(kill(child, SIGKILL) == 0);
  REQUIRE(waitpid(child, nullptr, 0) == child);
  char byte;
  CHECK(server.read(&byte, 1) == FERRY_END);
}

TEST_CASE_FIXTURE(NoLeak, "write, finish, close: every byte and then the end arrive, hundreds of times") {
  Transport transport;
  Listener listener = transport.listen();
  for (std::size_t round = 0; round < 300; ++round) {
    const std::string sent(round * round * 7 % 300'000, static_cast<char>('a' + round % 26));
    Connection client = transport.connect(listener.address());
    std::thread writer([&] {
      CHECK(client.write_all(sent));
      CHECK(client.finish() == FERRY_OK);
      client.close();
    });
    std::int64_t last = 0;
    const bool whole = listener.accept().read_all(last) == sent;
    writer.join();
    REQUIRE(whole);
    REQUIRE(last == FERRY_END);
  }
}

TEST_CASE_FIXTURE(NoLeak, "input that was never read does not destroy output that finish sent") {
  for (int round = 0; round < 50; ++round) {
    Pair pair;
    CHECK(pair.server.write("unwanted", 8) == 8);
    pair.client.await_input();
    const std::string sent(200'000, 'z');
    std::thread writer([&] {
      CHECK(pair.client.write_all(sent));
      CHECK(pair.client.finish() == FERRY_OK);
      pair.client.close();
    });
    std::int64_t last = 0;
    const bool whole = pair.server.read_all(last) == sent;
    writer.join();
    REQUIRE(whole);
    REQUIRE(last == FERRY_END);
  }
}

TEST_CASE_FIXTURE(NoLeak, "a peer that keeps sending while we finish still reads every byte and the end") {
  for (int round = 0; round < 20; ++round) {
    Pair pair;
    const std::string sent(400'000, 'q');
    std::thread finisher([&] {
      CHECK(pair.client.write_all(sent));
      CHECK(pair.client.finish() == FERRY_OK);
      pair.client.close();
    });
    std::thread chatterer([&] {
      const std::string noise(20'000, '?');
      while (pair.server.write(noise.data(), noise.size()) > 0) {
      }
    });
    std::int64_t last = 0;
    const bool whole = pair.server.read_all(last) == sent;
    finisher.join();
    chatterer.join();
    REQUIRE(whole);
    REQUIRE(last == FERRY_END);
  }
}

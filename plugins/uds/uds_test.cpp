// The data plane of the uds transport through its ABI tables.
#include <doctest/doctest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <csignal>
#include <string>

#include "uds_test_support.hpp"

using namespace ferry;
using namespace ferry::test;

namespace {

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 2654435761u >> 13);
  return text;
}

/// Writes until nothing more fits.
std::size_t fill(const RawConnection& connection) {
  const std::string block(64 * 1024, 'x');
  std::size_t all = 0;
  for (std::int64_t size = 0; (size = connection.write(block, FERRY_NO_WAIT)) > 0;)
    all += static_cast<std::size_t>(size);
  return all;
}

}  // namespace

TEST_CASE("bytes arrive whole and in order in both directions at once") {
  const UdsListening fixture;
  const RawPair pair = fixture.connect();
  const std::string sent = pattern(10 * 1024 * 1024 + 7);
  const auto send = [&](const RawConnection& from) {
    CHECK(from.write_all(sent) == FERRY_OK);
    CHECK(from.shutdown_write() == FERRY_OK);
  };
  std::thread client_writer([&] { send(pair.client); });
  std::thread server_writer([&] { send(pair.server); });
  std::string at_server;
  std::thread server_reader([&] {
    ferry_status end = FERRY_OK;
    at_server = pair.server.read_all(end);
    CHECK(end == FERRY_END);
  });
  ferry_status end = FERRY_OK;
  const std::string at_client = pair.client.read_all(end);
  client_writer.join();
  server_writer.join();
  server_reader.join();
  CHECK(end == FERRY_END);
  CHECK(at_client == sent);
  CHECK(at_server == sent);
}

TEST_CASE("a gathered write leaves as one, in order, empty pieces included") {
  const UdsListening fixture;
  const RawPair pair = fixture.connect();
  const std::string text = pattern(FERRY_MAX_IOVECS * 3);
  std::vector<ferry_iovec> pieces;
  for (std::size_t i = 0; i < FERRY_MAX_IOVECS; ++i) pieces.push_back({text.data() + 3 * i, i % 5 == 0 ? 0u : 3u});
  std::string expected;
  for (const ferry_iovec& piece : pieces) expected.append(static_cast<const char*>(piece.data), piece.size);
  ferry_connection* raw = pair.client.get();
  CHECK(raw->ops->write(raw, pieces.data(), FERRY_MAX_IOVECS, FERRY_WRITE_MORE, soon()) ==
        static_cast<std::int64_t>(expected.size()));
  std::string got(expected.size(), '\0');
  CHECK(pair.server.read(got.data(), got.size()) == static_cast<std::int64_t>(expected.size()));
  CHECK(got == expected);
  const ferry_iovec nothing{nullptr, 0};
  CHECK(raw->ops->write(raw, &nothing, 1, 0, soon()) == 0);
  CHECK(pair.server.read(got.data(), 0) == 0);
}

TEST_CASE("deadlines: no wait, past and to come, for read, write, accept") {
  const UdsListening fixture;
  const RawPair pair = fixture.connect();
  char byte = 0;
  CHECK(pair.client.read(&byte, 1, FERRY_NO_WAIT) == FERRY_WOULD_BLOCK);
  CHECK(pair.client.read(&byte, 1, 1) == FERRY_TIMED_OUT);
  const std::int64_t deadline = in_ms(20);
  CHECK(pair.client.read(&byte, 1, deadline) == FERRY_TIMED_OUT);
  CHECK(monotonic_now_ns() >= deadline);

  CHECK(fill(pair.client) > 0);
  CHECK(pair.client.write("x", FERRY_NO_WAIT) == FERRY_WOULD_BLOCK);
  CHECK(pair.client.write("x", in_ms(20)) == FERRY_TIMED_OUT);

  Said said;
  CHECK_FALSE(fixture.listener.accept(FERRY_NO_WAIT, &said));
  CHECK(said.status == FERRY_WOULD_BLOCK);
  CHECK_FALSE(fixture.listener.accept(in_ms(20), &said));
  CHECK(said.status == FERRY_TIMED_OUT);
}

TEST_CASE("an interrupt wakes a blocked read, write and accept, and every later one that must wait") {
  const UdsListening fixture;
  const RawPair pair = fixture.connect();
  char byte = 0;
  std::int64_t read = 0;
  std::int64_t written = 0;
  Said accepted;
  fill(pair.client);
  Sleeper reader([&] { read = pair.client.read(&byte, 1); });
  Sleeper writer([&] { written = pair.client.write("x"); });
  Sleeper acceptor([&] { (void)fixture.listener.accept(soon(), &accepted); });
  for (Sleeper* sleeper : {&reader, &writer, &acceptor}) sleeper->until_asleep();
  pair.client.interrupt();
  fixture.listener.interrupt();
  for (Sleeper* sleeper : {&reader, &writer, &acceptor}) sleeper->join();
  CHECK(read == FERRY_INTERRUPTED);
  CHECK(written == FERRY_INTERRUPTED);
  CHECK(accepted.status == FERRY_INTERRUPTED);
  CHECK(pair.client.read(&byte, 1) == FERRY_INTERRUPTED);

  CHECK(pair.server.write("y") == 1);
  CHECK(pair.client.read(&byte, 1) == 1);  // needs no waiting
  CHECK_FALSE(fixture.listener.accept(soon(), &accepted));
  const RawConnection queued = fixture.transport.connect(fixture.listener.address());
  CHECK(fixture.listener.accept(soon(), &accepted));
}

TEST_CASE("write then close loses no byte, hundreds of times") {
  const UdsListening fixture;
  for (std::size_t round = 0; round < 400; ++round) {
    RawPair pair = fixture.connect();
    const std::string text = pattern(round * 37 % 9000 + 1);
    REQUIRE(pair.client.write_all(text) == FERRY_OK);
    REQUIRE(pair.client.finish() == FERRY_OK);
    pair.client.close();
    ferry_status end = FERRY_OK;
    REQUIRE(pair.server.read_all(end) == text);
    REQUIRE(end == FERRY_END);
  }
}

TEST_CASE("finish with unread input leaves the peer every byte and an end") {
  const UdsListening fixture;
  for (int round = 0; round < 200; ++round) {
    RawPair pair = fixture.connect();
    fill(pair.server);
    REQUIRE(pair.client.write("the last word") == 13);
    REQUIRE(pair.client.finish(FERRY_NO_WAIT) == FERRY_OK);
    pair.client.close();
    ferry_status end = FERRY_OK;
    REQUIRE(pair.server.read_all(end) == "the last word");
    REQUIRE(end == FERRY_END);
  }
}

TEST_CASE("finish against a peer that never stops writing ends, and the peer's writes fail") {
  const UdsListening fixture;
  RawPair pair = fixture.connect();
  std::int64_t last = 0;
  std::thread flood([&] {
    const std::string block(64 * 1024, 'f');
    while ((last = pair.server.write(block)) > 0) {
    }
  });
  CHECK(pair.client.write("bye") == 3);
  CHECK(pair.client.finish() == FERRY_OK);
  pair.client.close();
  flood.join();
  CHECK(last == FERRY_RESET);
  ferry_status end = FERRY_OK;
  CHECK(pair.server.read_all(end) == "bye");
  CHECK(end == FERRY_END);
}

TEST_CASE("a half-close is an end for the peer, whose reply still arrives") {
  const UdsListening fixture;
  const RawPair pair = fixture.connect();
  CHECK(pair.client.write("question") == 8);
  CHECK(pair.client.shutdown_write() == FERRY_OK);
  CHECK(pair.client.write("more") == FERRY_CLOSED);
  ferry_status end = FERRY_OK;
  CHECK(pair.server.read_all(end) == "question");
  CHECK(end == FERRY_END);
  CHECK(pair.server.write("answer") == 6);
  CHECK(pair.server.shutdown_write() == FERRY_OK);
  CHECK(pair.client.read_all(end) == "answer");
  CHECK(end == FERRY_END);
}

TEST_CASE("a peer that aborts with our bytes unread is a reset, and no signal is raised") {
  const UdsListening fixture;
  RawPair pair = fixture.connect();
  CHECK(pair.client.write("unread") == 6);
  CHECK(pair.server.write("sent before") == 11);
  pair.server.abort();
  ferry_status end = FERRY_OK;
  CHECK(pair.client.read_all(end) == "sent before");
  CHECK(end == FERRY_RESET);
  CHECK(pair.client.write("x") == FERRY_RESET);
}

TEST_CASE("arm and pollable: readiness shows on the descriptor") {
  const UdsListening fixture;
  const RawPair pair = fixture.connect();
  ferry_connection* raw = pair.client.get();
  ferry_pollable in{};
  ferry_pollable out{};
  CHECK(raw->ops->pollable(raw, FERRY_READ, &in) == FERRY_OK);
  CHECK(raw->ops->pollable(raw, FERRY_WRITE, &out) == FERRY_OK);
  CHECK(in.events == FERRY_POLL_IN);
  CHECK(out.events == FERRY_POLL_OUT);
  CHECK(raw->ops->arm(raw, FERRY_READ) == FERRY_ARMED);
  pollfd entry{static_cast<int>(in.handle), POLLIN, 0};
  CHECK(::poll(&entry, 1, 0) == 0);
  CHECK(pair.server.write("x") == 1);
  CHECK(::poll(&entry, 1, 20'000) == 1);
}

TEST_CASE("connect without waiting succeeds while the backlog has room, then would block, then waits for room") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"backlog", "1"}});
  std::vector<RawConnection> queued;
  Said said;
  while (said.status == FERRY_OK && queued.size() < 100) {
    queued.push_back(transport.connect(listener.address(), {}, &said, FERRY_NO_WAIT));
  }
  CHECK(said.status == FERRY_WOULD_BLOCK);
  CHECK(queued.size() == 3);  // Linux queues backlog + 1
  (void)transport.connect(listener.address(), {}, &said, in_ms(30));
  CHECK(said.status == FERRY_TIMED_OUT);

  Said waited;
  Sleeper sleeper([&] { (void)transport.connect(listener.address(), {}, &waited, soon()); });
  sleeper.until_asleep();
  CHECK(listener.accept());
  sleeper.join();
  CHECK(waited.status == FERRY_OK);
}

TEST_CASE("a connect that waits for room can be cancelled, and ends when the listener does") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  RawListener listener = transport.listen(directory / "s", {{"backlog", "1"}});
  const std::string address = listener.address();
  Said said;
  std::vector<RawConnection> queued;
  while (said.status == FERRY_OK) queued.push_back(transport.connect(address, {}, &said, FERRY_NO_WAIT));

  const int cancel = ::eventfd(0, EFD_CLOEXEC);
  Said cancelled;
  {
    Sleeper sleeper([&] { (void)transport.connect(address, {}, &cancelled, soon(), cancel); });
    sleeper.until_asleep();
    REQUIRE(::eventfd_write(cancel, 1) == 0);
  }
  CHECK(cancelled.status == FERRY_INTERRUPTED);
  ::close(cancel);

  Said gone;
  {
    Sleeper sleeper([&] { (void)transport.connect(address, {}, &gone, soon()); });
    sleeper.until_asleep();
    listener.close();
  }
  CHECK(gone.status == FERRY_NOT_FOUND);  // the file goes first
}

TEST_CASE("accept reports a shortage of descriptors and takes the client afterwards") {
  const UdsListening fixture;
  const RawConnection client = fixture.transport.connect(fixture.listener.address());
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{3, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  Said said;
  const bool taken = static_cast<bool>(fixture.listener.accept(soon(), &said));
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK_FALSE(taken);
  CHECK(said.status == FERRY_NO_RESOURCES);
  CHECK(said.mentions("descriptors"));
  CHECK(fixture.listener.accept(soon(), &said));
}

TEST_CASE("a peer killed with SIGKILL is an end after its last byte") {
  const UdsListening fixture;
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const RawConnection client = fixture.transport.connect(fixture.listener.address());
    (void)client.write("alive");
    ::kill(::getpid(), SIGKILL);
  }
  const RawConnection server = fixture.listener.accept();
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  ferry_status end = FERRY_OK;
  CHECK(server.read_all(end) == "alive");
  CHECK(end == FERRY_END);
}

TEST_CASE("a thousand connections leave no descriptor behind") {
  const UdsListening fixture;
  const int before = count_fds();
  for (int round = 0; round < 1000; ++round) {
    RawPair pair = fixture.connect();
    char byte = 0;
    CHECK(pair.client.read(&byte, 1, 1) == FERRY_TIMED_OUT);
  }
  CHECK(count_fds() == before);
}

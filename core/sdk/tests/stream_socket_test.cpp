// The engine over loopback TCP, where closing in order takes the most care; uds_test.cpp covers Unix sockets.
#include "ferry/sdk/stream_socket.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>

#include <string>
#include <thread>

#include "stream_socket_pair.hpp"

using namespace ferry;
using namespace ferry::plugin;
using namespace ferry::plugin::test;
using ferry::test::in_ms;
using ferry::test::Sleeper;
using ferry::test::soon;

TEST_CASE("finish with unread input loses no byte and the peer reads an end") {
  for (int round = 0; round < 50; ++round) {
    Pair pair;
    const std::string noise(3000, 'n');
    REQUIRE(::send(pair.plain.get(), noise.data(), noise.size(), 0) == 3000);
    const std::string text(1 + static_cast<std::size_t>(round) * 97, 't');
    REQUIRE(pair.write(text) == static_cast<std::int64_t>(text.size()));
    REQUIRE(pair.ours->finish(soon()) == FERRY_OK);
    pair.ours.reset();
    ssize_t last = -1;
    CHECK(pair.drain_plain(last) == text.size());
    CHECK(last == 0);
  }
}

TEST_CASE("finish waits for a peer that does not read, to the deadline, and succeeds once it does") {
  Pair pair;
  const std::size_t written = pair.fill();
  CHECK(pair.ours->finish(FERRY_NO_WAIT) == FERRY_WOULD_BLOCK);
  CHECK(pair.ours->finish(in_ms(20)) == FERRY_TIMED_OUT);
  std::size_t read = 0;
  ssize_t last = -1;
  std::thread reader([&] { read = pair.drain_plain(last); });
  CHECK(pair.ours->finish(soon()) == FERRY_OK);
  pair.ours.reset();
  reader.join();
  CHECK(read == written);
  CHECK(last == 0);
}

TEST_CASE("finish makes way for a peer that must finish writing before it reads") {
  Pair pair;
  const std::size_t written = pair.fill();
  std::size_t read = 0;
  ssize_t last = -1;
  std::thread peer([&] {
    const std::string much(16 * 1024 * 1024, 'm');
    CHECK(::send(pair.plain.get(), much.data(), much.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(much.size()));
    read = pair.drain_plain(last);
  });
  CHECK(pair.ours->finish(soon()) == FERRY_OK);
  pair.ours.reset();
  peer.join();
  CHECK(read == written);
  CHECK(last == 0);
}

TEST_CASE("finish outlasts a peer that never stops sending, but not its deadline") {
  Pair pair;
  (void)pair.fill();  // the peer reads nothing, so that finish has something to wait for
  std::atomic<bool> stop{false};
  std::thread flood([&] {
    const std::string block(64 * 1024, 'f');
    while (!stop) (void)::send(pair.plain.get(), block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  });
  CHECK(pair.ours->finish(in_ms(50)) == FERRY_TIMED_OUT);
  stop = true;
  flood.join();
}

TEST_CASE("an interrupt ends a blocked finish") {
  Pair pair;
  (void)pair.fill();
  ferry_status status = FERRY_OK;
  Sleeper finisher([&] { status = pair.ours->finish(soon()); });
  finisher.until_asleep();
  pair.ours->interrupt();
  finisher.join();
  CHECK(status == FERRY_INTERRUPTED);
}

TEST_CASE("data that arrived is read before the reset that followed it, and the reset stays") {
  Pair pair;
  REQUIRE(::send(pair.plain.get(), "last words", 10, 0) == 10);
  reset(pair.plain);
  char buffer[64];
  // Loopback delivers both at once, and the reset does not drop what the queue holds.
  CHECK(pair.ours->read(buffer, sizeof(buffer), soon()) == 10);
  CHECK(pair.ours->read(buffer, sizeof(buffer), soon()) == FERRY_RESET);
  CHECK(pair.ours->read(buffer, sizeof(buffer), soon()) == FERRY_RESET);
  CHECK(pair.write("x") == FERRY_RESET);
}

TEST_CASE("a reset that bytes on their way into a pipe met is a reset for the reads that follow, and no end") {
  Pair pair;
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd output(ends[0]);
  const UniqueFd input(ends[1]);
  REQUIRE(::send(pair.plain.get(), "last words", 10, 0) == 10);
  reset(pair.plain);
  char buffer[64];
  CHECK(pair.ours->receive_into(input.get(), sizeof(buffer)) == 10);
  CHECK(::read(output.get(), buffer, sizeof(buffer)) == 10);
  CHECK(pair.ours->receive_into(input.get(), sizeof(buffer)) == FERRY_RESET);
  CHECK(pair.ours->receive_into(input.get(), sizeof(buffer)) == FERRY_RESET);
  CHECK(pair.ours->read(buffer, sizeof(buffer), soon()) == FERRY_RESET);
}

TEST_CASE("a reset that the writer met is a reset for the reader as well, and no end") {
  Pair pair;
  reset(pair.plain);
  char buffer[64];
  CHECK(pair.write("x") == FERRY_RESET);
  CHECK(pair.write("x") == FERRY_RESET);
  CHECK(pair.ours->read(buffer, sizeof(buffer), soon()) == FERRY_RESET);
}

TEST_CASE("reader and writer that meet a reset at once both see it") {
  for (int round = 0; round < 200; ++round) {
    Pair pair;
    (void)pair.write(std::string(256 * 1024, 'x'));
    std::int64_t read = FERRY_WOULD_BLOCK;
    std::int64_t written = FERRY_WOULD_BLOCK;
    // Neither sleeps, so that both are likely to be inside the kernel when the reset comes.
    std::thread reader([&] {
      char buffer[64];
      while (read == FERRY_WOULD_BLOCK) read = pair.ours->read(buffer, sizeof(buffer), FERRY_NO_WAIT);
    });
    std::thread writer([&] {
      while (written > 0 || written == FERRY_WOULD_BLOCK) written = pair.write("x", FERRY_NO_WAIT);
    });
    reset(pair.plain);
    reader.join();
    writer.join();
    REQUIRE(read == FERRY_RESET);
    REQUIRE(written == FERRY_RESET);
  }
}

TEST_CASE("a reader that sees the end while the writer is being told of the reset waits for the writer's word") {
  Pair pair;
  reset(pair.plain);
  std::atomic<bool> told{false};
  std::atomic<bool> ended{false};
  std::int64_t read = 0;
  std::thread reader([&] {
    while (!told) std::this_thread::yield();
    read = pair.ours->read_with(soon(), [&] {
      char byte;
      const ssize_t size = ::recv(pair.ours->fd(), &byte, 1, 0);
      ended = size == 0;
      return size;
    });
  });
  const std::int64_t written = pair.ours->write_with(soon(), [&] {
    const ssize_t size = ::send(pair.ours->fd(), "x", 1, MSG_NOSIGNAL);
    const int error = errno;
    told = true;
    while (!ended) std::this_thread::yield();
    errno = error;
    return size;
  });
  reader.join();
  CHECK(written == FERRY_RESET);
  CHECK(read == FERRY_RESET);
}

TEST_CASE("a writer cut by a peer that had ended in order leaves the reader the end") {
  Pair pair;
  REQUIRE(::shutdown(pair.plain.get(), SHUT_WR) == 0);
  REQUIRE(pair.write("unread") == 6);
  pair.plain.reset();  // input unread: the kernel resets us, after its own end of stream
  std::int64_t written = 1;
  while (written > 0) written = pair.write("x");
  CHECK(written == FERRY_RESET);
  char buffer[64];
  CHECK(pair.ours->read(buffer, sizeof(buffer), soon()) == FERRY_END);
}

TEST_CASE("reset_on_close reaches the peer as a reset") {
  Pair pair;
  REQUIRE(pair.write("x") == 1);
  pair.ours->reset_on_close();
  pair.ours.reset();
  char buffer[8];
  CHECK(::recv(pair.plain.get(), buffer, sizeof(buffer), 0) == 1);
  CHECK(::recv(pair.plain.get(), buffer, sizeof(buffer), 0) == -1);
  CHECK(errno == ECONNRESET);
}

TEST_CASE("a write after the half-close says so, and reading goes on") {
  Pair pair;
  CHECK(pair.ours->shutdown_write() == FERRY_OK);
  CHECK(pair.ours->shutdown_write() == FERRY_OK);
  CHECK(pair.write("x") == FERRY_CLOSED);
  REQUIRE(::send(pair.plain.get(), "reply", 5, 0) == 5);
  char buffer[8];
  CHECK(pair.ours->read(buffer, sizeof(buffer), soon()) == 5);
}

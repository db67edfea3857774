// The data plane of the npipe transport on FIFOs: what the conformance suite cannot know of.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>

#include "ferry/sdk/sigpipe.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "npipe_test_support.hpp"

using namespace ferry;
using namespace ferry::test;
using plugin::UniqueFd;

namespace {

constexpr int wake_up_limit_ms = 20'000;

int handle_of(const RawConnection& connection, ferry_interest interest) {
  ferry_pollable out{};
  REQUIRE(connection.get()->ops->pollable(connection.get(), interest, &out) == FERRY_OK);
  REQUIRE(out.events == FERRY_POLL_IN);
  return static_cast<int>(out.handle);
}

bool is_ready(int handle, int timeout_ms = 0) {
  pollfd entry{handle, POLLIN, 0};
  return ::poll(&entry, 1, timeout_ms) == 1;
}

std::int32_t arm(const RawConnection& connection, ferry_interest interest) {
  return connection.get()->ops->arm(connection.get(), interest);
}

void fill(const RawConnection& connection) {
  const std::string block(64 * 1024, 'x');
  while (connection.write(block, FERRY_NO_WAIT) > 0) {
  }
}

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 2654435761u >> 13);
  return text;
}

/// SIGPIPE kills here, as it does in a program that has made no arrangements.
struct DeadlySigpipe {
  DeadlySigpipe() { before = std::signal(SIGPIPE, SIG_DFL); }
  ~DeadlySigpipe() { std::signal(SIGPIPE, before); }
  void (*before)(int);
};

}  // namespace

TEST_CASE("whoever writes to a peer that has gone learns it within a few writes, and from then on, without a signal") {
  const DeadlySigpipe deadly;
  const Pipes pipes;
  for (const bool by_reading : {false, true}) {
    RawPair pair = pipes.pair();
    pair.server.close();
    if (by_reading) {
      char byte = 0;
      CHECK(pair.client.read(&byte, 1) == FERRY_END);
    }
    int accepted = 0;
    while (pair.client.write("x") == 1) ++accepted;
    CHECK(accepted < (by_reading ? 1 : 64));
    for (int i = 0; i < 3; ++i) CHECK(pair.client.write("x") == FERRY_RESET);
    CHECK(pair.client.shutdown_write() == FERRY_OK);
    CHECK(pair.client.write("x") == FERRY_CLOSED);
  }
}

TEST_CASE("a peer that only ended its own direction still reads everything") {
  const DeadlySigpipe deadly;
  const Pipes pipes;
  const RawPair pair = pipes.pair();
  CHECK(pair.server.shutdown_write() == FERRY_OK);
  const std::string sent = pattern(3 << 20);
  std::thread writer([&] {
    CHECK(pair.client.write_all(sent) == FERRY_OK);
    for (int i = 0; i < 100; ++i) CHECK(pair.client.write("x") == 1);
    CHECK(pair.client.shutdown_write() == FERRY_OK);
  });
  ferry_status end = FERRY_OK;
  CHECK(pair.server.read_all(end) == sent + std::string(100, 'x'));
  CHECK(end == FERRY_END);
  writer.join();
}

TEST_CASE("a writer asleep on a full FIFO is woken when its peer goes") {
  const DeadlySigpipe deadly;
  const Pipes pipes;
  for (const bool half_closed : {false, true}) {
    RawPair pair = pipes.pair();
    if (half_closed) CHECK(pair.server.shutdown_write() == FERRY_OK);
    fill(pair.client);
    std::int64_t written = 0;
    Sleeper writer([&] { written = pair.client.write("x"); });
    writer.until_asleep();
    pair.server.close();
    writer.join();
    CHECK(written == FERRY_RESET);
  }
}

TEST_CASE("the handle to poll for writing sleeps while the FIFO is full, and wakes for room and for the peer's end") {
  const Pipes pipes;
  RawPair pair = pipes.pair();
  const int handle = handle_of(pair.client, FERRY_WRITE);
  CHECK(is_ready(handle));
  fill(pair.client);
  CHECK(arm(pair.client, FERRY_WRITE) == FERRY_ARMED);
  CHECK_FALSE(is_ready(handle));
  std::string bytes(1 << 20, '\0');
  CHECK(pair.server.read(bytes.data(), bytes.size()) > 0);
  CHECK(is_ready(handle, wake_up_limit_ms));

  fill(pair.client);
  CHECK(pair.server.shutdown_write() == FERRY_OK);
  CHECK(is_ready(handle, wake_up_limit_ms));  // for nothing, once
  CHECK(pair.client.write("x", FERRY_NO_WAIT) == FERRY_WOULD_BLOCK);
  CHECK(arm(pair.client, FERRY_WRITE) == FERRY_ARMED);
  CHECK_FALSE(is_ready(handle));
  pair.server.close();
  CHECK(is_ready(handle, wake_up_limit_ms));
  CHECK(pair.client.write("x", FERRY_NO_WAIT) == FERRY_RESET);
}

TEST_CASE("the handles stay the same and valid through a half-close, whenever they were first asked for") {
  const Pipes pipes;
  for (const bool asked_before : {false, true}) {
    const RawPair pair = pipes.pair();
    const int before = asked_before ? handle_of(pair.client, FERRY_WRITE) : -1;
    CHECK(pair.client.shutdown_write() == FERRY_OK);
    const int after = handle_of(pair.client, FERRY_WRITE);
    if (asked_before) CHECK(after == before);
    CHECK(handle_of(pair.client, FERRY_WRITE) == after);
    CHECK_FALSE(is_ready(after));
    CHECK(arm(pair.client, FERRY_WRITE) == FERRY_READY);
    CHECK(pair.server.write("answer") == 6);
    CHECK(is_ready(handle_of(pair.client, FERRY_READ), wake_up_limit_ms));
    ferry_status end = FERRY_OK;
    pair.server.shutdown_write();
    CHECK(pair.client.read_all(end) == "answer");
  }
}

TEST_CASE("an interrupt wakes reader, writer and acceptor that sleep, and what needs no waiting goes on") {
  const Pipes pipes;
  const RawPair pair = pipes.pair();
  fill(pair.client);
  char byte = 0;
  std::int64_t read = 0;
  std::int64_t written = 0;
  Said accepted;
  {
    Sleeper reader([&] { read = pair.client.read(&byte, 1); });
    Sleeper writer([&] { written = pair.client.write("x"); });
    Sleeper acceptor([&] { (void)pipes.listener.accept(soon(), &accepted); });
    for (Sleeper* sleeper : {&reader, &writer, &acceptor}) sleeper->until_asleep();
    pair.client.interrupt();
    pipes.listener.interrupt();
  }
  CHECK(read == FERRY_INTERRUPTED);
  CHECK(written == FERRY_INTERRUPTED);
  CHECK(accepted.status == FERRY_INTERRUPTED);
  CHECK(pair.server.write("y") == 1);
  CHECK(pair.client.read(&byte, 1) == 1);
}

TEST_CASE("a file is sent from an offset without moving its position; what cannot be spliced is unsupported") {
  const DeadlySigpipe deadly;
  const Pipes pipes;
  RawPair pair = pipes.pair();
  const auto* const file = pair.client.extension<ferry_file>(FERRY_EXT_FILE);
  REQUIRE(file != nullptr);
  const std::string content = pattern(3'000'000);
  std::ofstream(pipes.directory / "content", std::ios::binary) << content;
  const UniqueFd source(::open((pipes.directory / "content").c_str(), O_RDONLY | O_CLOEXEC));
  std::thread sender([&] {
    std::uint64_t offset = 1000;
    while (offset < content.size()) {
      const std::int64_t sent = file->send(pair.client.get(), source.get(), offset, content.size() - offset, soon());
      REQUIRE(sent > 0);
      offset += static_cast<std::uint64_t>(sent);
    }
    CHECK(file->send(pair.client.get(), source.get(), offset, 10, soon()) == 0);
    CHECK(pair.client.shutdown_write() == FERRY_OK);
  });
  ferry_status end = FERRY_OK;
  CHECK(pair.server.read_all(end) == content.substr(1000));
  sender.join();
  CHECK(::lseek(source.get(), 0, SEEK_CUR) == 0);

  pair = pipes.pair();
  const UniqueFd directory(::open(pipes.directory.path().c_str(), O_RDONLY | O_CLOEXEC));
  CHECK(file->send(pair.client.get(), directory.get(), 0, 10, soon()) == FERRY_UNSUPPORTED);
  pair.server.close();
  std::int64_t sent = 0;
  for (int i = 0; i < 100 && sent >= 0; ++i) sent = file->send(pair.client.get(), source.get(), 0, 10, soon());
  CHECK(sent == FERRY_RESET);
}

TEST_CASE("whoever puts bytes into our pipe learns of a peer that has gone at the next look, as with writes") {
  const DeadlySigpipe deadly;
  const Pipes pipes;
  for (const bool half_closed : {false, true}) {
    RawPair pair = pipes.pair();
    const auto* const splice = pair.client.extension<ferry_splice>(FERRY_EXT_SPLICE);
    const auto out = [&] { return static_cast<int>(splice->pipe(pair.client.get(), FERRY_WRITE)); };
    if (half_closed) CHECK(pair.server.shutdown_write() == FERRY_OK);
    CHECK(plugin::without_sigpipe([&] { return ::write(out(), "x", 1); }) == 1);
    pair.server.close();
    CHECK(plugin::without_sigpipe([&] { return ::write(out(), "x", 1); }) == -1);
    CHECK(errno == EPIPE);
    CHECK(pair.client.write("x") == FERRY_RESET);
  }
}

TEST_CASE("write_pipe raises no SIGPIPE, and leaves one alone that was pending before") {
  const DeadlySigpipe deadly;
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd writer(ends[1]);
  ::close(ends[0]);
  const ferry_iovec piece{"x", 1};
  CHECK(plugin::write_pipe(writer.get(), &piece, 1) == -1);
  CHECK(errno == EPIPE);
  const auto guarded = [&] { return plugin::without_sigpipe([&] { return ::write(writer.get(), "x", 1); }); };
  CHECK(guarded() == -1);
  CHECK(errno == EPIPE);

  sigset_t sigpipe;
  sigset_t before;
  sigset_t pending;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  REQUIRE(::pthread_sigmask(SIG_BLOCK, &sigpipe, &before) == 0);
  CHECK(guarded() == -1);
  REQUIRE(::sigpending(&pending) == 0);
  CHECK(sigismember(&pending, SIGPIPE) == 0);
  ::raise(SIGPIPE);
  CHECK(guarded() == -1);
  REQUIRE(::sigpending(&pending) == 0);
  CHECK(sigismember(&pending, SIGPIPE) == 1);
  int signal = 0;
  CHECK(::sigwait(&sigpipe, &signal) == 0);
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
}

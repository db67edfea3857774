// ferry.file/1, and that its sendfile never lets SIGPIPE through.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include <algorithm>

#include "tcp_test_support.hpp"

using namespace ferry::tcp;
using namespace ferry::tcp::test;
using ferry::plugin::UniqueFd;

namespace {

UniqueFd file_with(const std::string& content) {
  UniqueFd out(memfd_create("content", MFD_CLOEXEC));
  REQUIRE(write(out.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()));
  return out;
}

std::int64_t send_file(Connection& connection, int file, std::uint64_t offset, std::uint64_t size,
                       std::int64_t deadline = soon()) {
  const auto* extension =
      static_cast<const ferry_file*>(connection.raw()->ops->get_extension(connection.raw(), FERRY_EXT_FILE));
  REQUIRE(extension != nullptr);
  return extension->send(connection.raw(), file, offset, size, deadline);
}

/// The default disposition, which kills the process, whatever ran before.
struct DeadlySigpipe : NoLeak {
  DeadlySigpipe() { signal(SIGPIPE, SIG_DFL); }
};

bool sigpipe_is_blocked() {
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return sigismember(&mask, SIGPIPE) == 1;
}

bool sigpipe_is_pending() {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGPIPE) == 1;
}

}  // namespace

TEST_CASE_FIXTURE(DeadlySigpipe, "a file arrives whole, from any offset, and its own position does not move") {
  Pair pair;
  std::string content(3'000'000, '\0');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31 >> 3);
  const UniqueFd file = file_with(content);
  REQUIRE(lseek(file.get(), 17, SEEK_SET) == 17);
  std::thread sender([&] {
    std::uint64_t offset = 1000;
    for (;;) {
      const std::int64_t sent = send_file(pair.client, file.get(), offset, content.size());
      CHECK(sent >= 0);
      if (sent <= 0) break;
      offset += static_cast<std::uint64_t>(sent);
    }
    CHECK(offset == content.size());
    CHECK(pair.client.shutdown_write() == FERRY_OK);
  });
  std::int64_t last = 0;
  const bool whole = pair.server.read_all(last) == content.substr(1000);
  sender.join();
  CHECK(whole);
  CHECK(last == FERRY_END);
  CHECK(lseek(file.get(), 0, SEEK_CUR) == 17);
}

TEST_CASE_FIXTURE(DeadlySigpipe, "what the kernel cannot send from is unsupported, and the connection goes on") {
  Pair pair;
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd source(ends[0]), sink(ends[1]);
  CHECK(send_file(pair.client, source.get(), 0, 10) == FERRY_UNSUPPORTED);
  CHECK(send_file(pair.client, pair.server.fd(), 0, 10) == FERRY_UNSUPPORTED);
  CHECK(send_file(pair.client, -1, 0, 10) == FERRY_UNSUPPORTED);
  CHECK(send_file(pair.client, file_with("content").get(), UINT64_MAX, 10) == FERRY_UNSUPPORTED);
  CHECK(pair.client.write("x", 1) == 1);
}

TEST_CASE_FIXTURE(DeadlySigpipe, "sending waits for room until the deadline or an interrupt") {
  Pair pair;
  const UniqueFd file = file_with(std::string(1 << 20, 'f'));
  while (send_file(pair.client, file.get(), 0, 1 << 20, FERRY_NO_WAIT) > 0) {
  }
  CHECK(send_file(pair.client, file.get(), 0, 1, FERRY_NO_WAIT) == FERRY_WOULD_BLOCK);
  CHECK(send_file(pair.client, file.get(), 0, 1, in_ms(20)) == FERRY_TIMED_OUT);
  std::int64_t status = 0;
  {
    Sleeper sender([&] {
      while ((status = send_file(pair.client, file.get(), 0, 1, FERRY_FOREVER)) > 0) {
      }
    });
    sender.asleep();
    pair.client.interrupt();
  }
  CHECK(status == FERRY_INTERRUPTED);
}

TEST_CASE_FIXTURE(DeadlySigpipe, "a try sleeps as little after a read that slept in the kernel as before it") {
  Pair pair;
  {
    char byte = 0;
    Sleeper reader([&] { CHECK(pair.client.read(&byte, 1) == 1); });
    reader.asleep();
    CHECK(pair.server.write("x", 1) == 1);
  }
  const UniqueFd file = file_with(std::string(1 << 20, 'f'));
  std::int64_t shortest_ns = INT64_MAX;  // of a few, since this thread may be kept from running
  for (int refused = 0; refused < 5;) {
    const std::int64_t before_ns = ferry::plugin::monotonic_ns();
    if (send_file(pair.client, file.get(), 0, 1 << 20, FERRY_NO_WAIT) > 0) continue;
    shortest_ns = std::min(shortest_ns, ferry::plugin::monotonic_ns() - before_ns);
    ++refused;
  }
  CHECK(shortest_ns < 15 * millisecond_ns);  // a nap takes 50 ms
}

TEST_CASE_FIXTURE(DeadlySigpipe, "no signal comes of sending to a peer that is gone or after a half-close") {
  const UniqueFd file = file_with("content");
  Pair gone;
  gone.server.abort();
  gone.client.await_input();
  for (int i = 0; i < 3; ++i) CHECK(send_file(gone.client, file.get(), 0, 7) == FERRY_RESET);
  Pair half_closed;
  CHECK(half_closed.client.shutdown_write() == FERRY_OK);
  CHECK(send_file(half_closed.client, file.get(), 0, 7) == FERRY_CLOSED);
  CHECK_FALSE(sigpipe_is_blocked());
  CHECK_FALSE(sigpipe_is_pending());
}

TEST_CASE_FIXTURE(DeadlySigpipe, "an application that blocks SIGPIPE finds mask and pending signals as it left them") {
  sigset_t sigpipe, before;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  REQUIRE(pthread_sigmask(SIG_BLOCK, &sigpipe, &before) == 0);
  const UniqueFd file = file_with("content");
  Pair pair;
  CHECK(pair.client.shutdown_write() == FERRY_OK);

  CHECK(send_file(pair.client, file.get(), 0, 7) == FERRY_CLOSED);
  CHECK(sigpipe_is_blocked());
  CHECK_FALSE(sigpipe_is_pending());

  REQUIRE(pthread_kill(pthread_self(), SIGPIPE) == 0);
  CHECK(send_file(pair.client, file.get(), 0, 7) == FERRY_CLOSED);
  CHECK(sigpipe_is_pending());
  const timespec at_once{};
  CHECK(sigtimedwait(&sigpipe, nullptr, &at_once) == SIGPIPE);
  CHECK_FALSE(sigpipe_is_pending());
  REQUIRE(pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
}

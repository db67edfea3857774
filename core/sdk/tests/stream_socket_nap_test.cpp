// Naps: the first 50 ms of a blocked read or write are slept in recv or send themselves, on a socket without
// O_NONBLOCK, until somebody needs the flag.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>

#include "stream_socket_pair.hpp"

using namespace ferry;
using namespace ferry::plugin;
using namespace ferry::plugin::test;
using namespace std::chrono_literals;
using ferry::test::Sleeper;
using ferry::test::soon;

namespace {

constexpr StreamSocket::Kind kinds[] = {StreamSocket::Kind::network, StreamSocket::Kind::local};
constexpr auto far_from_a_nap = 15ms;

struct Pipe {
  Pipe() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    output.reset(ends[0]);
    input.reset(ends[1]);
  }
  UniqueFd output, input;
};

bool is_nonblocking(const Pair& pair) { return (::fcntl(pair.ours->fd(), F_GETFL) & O_NONBLOCK) != 0; }

std::int64_t read_byte(const Pair& pair) {
  char byte;
  return pair.ours->read(&byte, 1, soon());
}

void send_byte(const Pair& pair) { REQUIRE(::send(pair.plain.get(), "x", 1, MSG_NOSIGNAL) == 1); }

/// Returns once the thread naps, or sleeps in ppoll because this one was kept from looking for 50 ms.
void until_napping(Sleeper& sleeper, long call) { sleeper.until_in(call, SYS_ppoll); }

void nap_once(const Pair& pair) {
  Sleeper reader([&] { CHECK(read_byte(pair) == 1); });
  until_napping(reader, SYS_recvfrom);
  send_byte(pair);
}

/// A socket that is not writable may still take a byte.
void fill_wholly(const Pair& pair) {
  (void)pair.fill();
  while (pair.write("x", FERRY_NO_WAIT) > 0) {
  }
}

/// A thread asleep in the send of a connection whose peer does not read.
class NappingWriter {
 public:
  explicit NappingWriter(const Pair& pair)
      : sleeper_([this, &pair] {
          const std::string block(64 * 1024, 'x');
          while (pair.write(block, FERRY_NO_WAIT) > 0) {
          }
          while ((result_ = pair.write("x")) > 0) {
          }
        }) {
    until_napping(sleeper_, SYS_sendto);
  }
  std::int64_t result() {
    sleeper_.join();
    return result_;
  }

 private:
  std::int64_t result_ = 0;
  Sleeper sleeper_;
};

/// The least that any of a few calls takes: this thread may be kept from running.
template <class Call>
std::chrono::steady_clock::duration shortest(Call&& call) {
  std::chrono::steady_clock::duration least = 1h;
  for (int round = 0; round < 5; ++round) {
    const auto before = std::chrono::steady_clock::now();
    call();
    least = std::min(least, std::chrono::steady_clock::now() - before);
  }
  return least;
}

/// Runs both, in two threads that start at about the same time.
template <class First, class Second>
void together(First&& first, Second&& second) {
  std::atomic<int> there{0};
  const auto start = [&] {
    ++there;
    for (int looks = 1; there < 2; ++looks) {
      if (looks % 1000 == 0) std::this_thread::yield();  // which alone would keep the two too far apart
    }
  };
  std::thread other([&] {
    start();
    first();
  });
  start();
  second();
  other.join();
}

}  // namespace

TEST_CASE("a try sleeps as little after a nap as before it") {
  for (const auto kind : kinds) {
    const Pair pair(kind);
    nap_once(pair);
    REQUIRE_FALSE(is_nonblocking(pair));
    char byte;
    CHECK(shortest([&] { CHECK(pair.ours->read(&byte, 1, FERRY_NO_WAIT) == FERRY_WOULD_BLOCK); }) < far_from_a_nap);
    fill_wholly(pair);
    CHECK(shortest([&] { CHECK(pair.write("x", FERRY_NO_WAIT) == FERRY_WOULD_BLOCK); }) < far_from_a_nap);
  }
}

TEST_CASE("bytes go into a pipe without waiting for them, though a read has napped") {
  const Pipe pipe;
  for (const auto kind : kinds) {
    const Pair pair(kind);
    nap_once(pair);
    const auto receive = [&] { return pair.ours->receive_into(pipe.input.get(), 64); };
    CHECK(shortest([&] { CHECK(receive() == FERRY_WOULD_BLOCK); }) < far_from_a_nap);
    nap_once(pair);
    CHECK(is_nonblocking(pair));
    send_byte(pair);
    CHECK(receive() == 1);
  }
}

TEST_CASE("bytes leave a pipe without waiting for room, though a read has napped") {
  const Pipe pipe;
  REQUIRE(::write(pipe.input.get(), "x", 1) == 1);
  for (const auto kind : kinds) {
    const Pair pair(kind);
    nap_once(pair);
    fill_wholly(pair);
    const auto send = [&] { return pair.ours->send_from(pipe.output.get(), 1); };
    CHECK(shortest([&] { CHECK(send() == FERRY_WOULD_BLOCK); }) < far_from_a_nap);
    nap_once(pair);
    CHECK(is_nonblocking(pair));
  }
}

TEST_CASE("a first nap and the end of all naps may come at once, from the reader and the writer") {
  const Pipe pipe;
  for (int round = 0; round < 500; ++round) {
    const Pair pair(kinds[round % 2]);
    const bool reader_naps = round % 4 < 2;
    const auto nap = [&] { CHECK((reader_naps ? read_byte(pair) : pair.write("x")) == 1); };
    const auto splice = [&] {
      const std::int64_t moved =
          reader_naps ? pair.ours->send_from(pipe.output.get(), 1) : pair.ours->receive_into(pipe.input.get(), 1);
      CHECK(moved == FERRY_WOULD_BLOCK);
      CHECK(is_nonblocking(pair));
      send_byte(pair);
    };
    together(nap, splice);
    REQUIRE(is_nonblocking(pair));
  }
}

TEST_CASE("reader and writer may both end the naps, and both find them ended") {
  for (int round = 0; round < 200; ++round) {
    const Pair pair(kinds[round % 2]);
    REQUIRE(pair.write("x") == 1);
    REQUIRE_FALSE(is_nonblocking(pair));
    const auto end = [&] {
      pair.ours->end_naps();
      CHECK(is_nonblocking(pair));
    };
    together(end, end);
  }
}

TEST_CASE("a call inside its nap goes on when naps end: data and an interrupt reach it") {
  for (const auto kind : kinds) {
    const Pair pair(kind);
    {
      Sleeper reader([&] { CHECK(read_byte(pair) == 1); });
      until_napping(reader, SYS_recvfrom);
      pair.ours->end_naps();
      send_byte(pair);
    }
    {
      Sleeper reader([&] { CHECK(read_byte(pair) == FERRY_INTERRUPTED); });
      until_napping(reader, SYS_ppoll);
      pair.ours->interrupt();
    }
  }
}

TEST_CASE("an interrupt is noticed within a nap's time") {
  for (const auto kind : kinds) {
    const Pair pair(kind);
    NappingWriter writer(pair);
    Sleeper reader([&] { CHECK(read_byte(pair) == FERRY_INTERRUPTED); });
    until_napping(reader, SYS_recvfrom);
    pair.ours->interrupt();
    CHECK(writer.result() == FERRY_INTERRUPTED);
    reader.join();
    char byte;
    CHECK(shortest([&] { CHECK(pair.ours->read(&byte, 1, soon()) == FERRY_INTERRUPTED); }) < far_from_a_nap);
  }
}

TEST_CASE("a reader sees the peer's end while the writer beside it naps") {
  for (const auto kind : kinds) {
    std::chrono::steady_clock::duration least = 1h;
    for (int round = 0; round < 5; ++round) {
      const Pair pair(kind);
      NappingWriter writer(pair);
      const auto before = std::chrono::steady_clock::now();
      REQUIRE(::shutdown(pair.plain.get(), SHUT_WR) == 0);
      CHECK(read_byte(pair) == FERRY_END);
      least = std::min(least, std::chrono::steady_clock::now() - before);
      pair.ours->interrupt();
      CHECK(writer.result() == FERRY_INTERRUPTED);
    }
    CHECK(least < far_from_a_nap);
  }
}

TEST_CASE("a reset that wakes a writer from its nap is a reset for the reader beside it") {
  for (int round = 0; round < 200; ++round) {
    Pair pair(kinds[round % 2]);
    NappingWriter writer(pair);
    std::int64_t read = 0;
    Sleeper reader([&] { read = read_byte(pair); });
    until_napping(reader, SYS_recvfrom);
    reset(pair.plain);  // with our bytes unread
    reader.join();
    REQUIRE(writer.result() == FERRY_RESET);
    REQUIRE(read == FERRY_RESET);
  }
}

TEST_CASE("a write of any size notices an interrupt soon, however slowly the peer reads") {
  for (const auto kind : kinds) {
    Pair pair(kind);
    const std::string much(64 << 20, 'm');
    std::atomic<bool> ended{false};
    std::int64_t status = 0;
    std::thread writer([&] {
      for (std::size_t done = 0; done < much.size() && status >= 0;) {
        status = pair.write(std::string_view(much).substr(done), FERRY_FOREVER);
        if (status > 0) done += static_cast<std::size_t>(status);
      }
      ended = true;
    });
    std::string buffer(100 << 10, '\0');
    const auto read_slowly = [&](std::chrono::milliseconds time) {  // 10 MB/s, so that all would take 6 s
      const auto end = std::chrono::steady_clock::now() + time;
      while (!ended && std::chrono::steady_clock::now() < end) {
        CHECK(::recv(pair.plain.get(), buffer.data(), buffer.size(), 0) > 0);
        std::this_thread::sleep_for(10ms);
      }
    };
    read_slowly(100ms);
    REQUIRE_FALSE(ended);
    pair.ours->interrupt();
    read_slowly(3s);
    CHECK(ended);
    pair.plain.reset();  // ends the writer where it has not ended
    writer.join();
    CHECK(status == FERRY_INTERRUPTED);
  }
}

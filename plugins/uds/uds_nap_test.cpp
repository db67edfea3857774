// The nap: the first 50 ms of a blocked write are slept in send itself, where neither an interrupt nor the reader
// beside it reaches the writer. The nap of a read is the same in recv; uds_test.cpp has it in every blocking read.
#include <doctest/doctest.h>
#include <sys/syscall.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include "uds_test_support.hpp"

using namespace ferry;
using namespace ferry::test;
using namespace std::chrono_literals;

namespace {

void fill(const RawConnection& connection) {
  const std::string block(64 * 1024, 'x');
  while (connection.write(block, FERRY_NO_WAIT) > 0) {
  }
}

/// A thread asleep in the send of a connection whose peer does not read.
class NappingWriter {
 public:
  explicit NappingWriter(const RawConnection& connection)
      : sleeper_([this, &connection] {
          fill(connection);
          result_ = connection.write("x");
        }) {
    sleeper_.until_in(SYS_sendto, SYS_ppoll);  // the latter when this thread was kept from looking for 50 ms
  }
  std::int64_t result() {
    sleeper_.join();
    return result_;
  }

 private:
  std::int64_t result_ = 0;
  Sleeper sleeper_;
};

}  // namespace

TEST_CASE("a reader sees the peer's end while the writer beside it naps") {
  std::chrono::steady_clock::duration shortest = 1h;
  for (int round = 0; round < 10; ++round) {
    const UdsListening fixture;
    RawPair pair = fixture.connect();
    NappingWriter writer(pair.client);
    const auto before = std::chrono::steady_clock::now();
    REQUIRE(pair.server.shutdown_write() == FERRY_OK);
    char byte;
    CHECK(pair.client.read(&byte, 1) == FERRY_END);
    shortest = std::min(shortest, std::chrono::steady_clock::now() - before);
    pair.client.interrupt();
    CHECK(writer.result() == FERRY_INTERRUPTED);
  }
  CHECK(shortest < 15ms);  // far from the nap's end
}

TEST_CASE("a reset that wakes a writer from its nap is a reset for the reader beside it") {
  for (int round = 0; round < 200; ++round) {
    const UdsListening fixture;
    RawPair pair = fixture.connect();
    NappingWriter writer(pair.client);
    std::int64_t read = 0;
    Sleeper reader([&] {
      char byte;
      read = pair.client.read(&byte, 1);
    });
    reader.until_in(SYS_recvfrom, SYS_ppoll);
    pair.server.abort();  // with our bytes unread
    reader.join();
    REQUIRE(writer.result() == FERRY_RESET);
    REQUIRE(read == FERRY_RESET);
  }
}

TEST_CASE("a write of any size notices an interrupt soon, however slowly the peer reads") {
  const UdsListening fixture;
  const RawPair pair = fixture.connect();
  const std::string much(64 << 20, 'm');
  std::atomic<bool> ended{false};
  ferry_status status = FERRY_OK;
  std::thread writer([&] {
    status = pair.client.write_all(much);
    ended = true;
  });
  std::string buffer(100 << 10, '\0');
  const auto read_slowly = [&](std::chrono::milliseconds time) {  // 10 MB/s, so that all would take 6 s
    const auto end = std::chrono::steady_clock::now() + time;
    while (!ended && std::chrono::steady_clock::now() < end) {
      CHECK(pair.server.read(buffer.data(), buffer.size()) > 0);
      std::this_thread::sleep_for(10ms);
    }
  };
  read_slowly(100ms);
  REQUIRE_FALSE(ended);
  pair.client.interrupt();
  read_slowly(3s);
  CHECK(ended);
  writer.join();
  CHECK(status == FERRY_INTERRUPTED);
}

// Readiness over a transport that signals only when armed: a wake-up that is lost hangs these tests.
#include "ferry/readiness.hpp"

#include <doctest/doctest.h>
#include <uv.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "support/armed_pair.hpp"
#include "support/socket_connection.hpp"

using namespace ferry;
using test::ArmedPair;

namespace {

constexpr std::size_t total = 20'000;

/// A loop that must be left without open handles.
struct Loop {
  Loop() { REQUIRE(uv_loop_init(&loop) == 0); }
  ~Loop() {
    run();
    CHECK(uv_loop_close(&loop) == 0);
  }
  void run() { (void)uv_run(&loop, UV_RUN_DEFAULT); }
  uv_loop_t loop{};
};

/// Echoes by readiness alone until the peer has ended, as a relay does.
class Echo {
 public:
  Echo(Loop& loop, Connection& connection) : connection_(connection) {
    readiness_ = std::make_unique<Readiness>(&loop.loop, connection.raw(), [this](ferry_interest) { run(); });
    run();
  }

 private:
  void run() {
    for (;;) {
      if (held_.empty()) {
        std::byte buffer[64];
        const IoResult got = connection_.read(buffer, Deadline::no_wait());
        if (got.status == Status::would_block) return readiness_->want(FERRY_READ);
        if (!got) return readiness_.reset();
        held_.assign(reinterpret_cast<const char*>(buffer), got.size);
      }
      const ConstBytes piece = std::as_bytes(std::span(held_));
      const IoResult sent = connection_.write_some({&piece, 1}, Deadline::no_wait());
      if (sent.status == Status::would_block) return readiness_->want(FERRY_WRITE);
      if (!sent) return readiness_.reset();
      held_.erase(0, sent.size);
    }
  }

  Connection& connection_;
  std::string held_;
  std::unique_ptr<Readiness> readiness_;
};

void check_echo(Connection first, Connection second) {
  std::thread writer;
  std::thread reader;
  {
    Loop loop;
    const Echo echo(loop, first);
    writer = std::thread([&second] {
      for (std::size_t i = 0; i < total; ++i) {
        const auto byte = static_cast<std::byte>(i);
        IoResult sent;
        while ((sent = second.write({&byte, 1}, Deadline::no_wait())).status == Status::would_block) {
          std::this_thread::yield();
        }
        if (!sent) break;
        if (i % 64 == 0) std::this_thread::yield();  // lets the loop fall asleep between two
      }
      (void)second.shutdown_write();
    });
    std::size_t wrong = 0;
    reader = std::thread([&second, &wrong] {
      for (std::size_t i = 0; i < total; ++i) {
        std::byte byte{};
        IoResult got;
        while ((got = second.read({&byte, 1}, Deadline::no_wait())).status == Status::would_block) {
          std::this_thread::yield();
        }
        if (!got || byte != static_cast<std::byte>(i)) ++wrong;
      }
    });
    loop.run();
    reader.join();
    writer.join();
    CHECK(wrong == 0);
  }
}

}  // namespace

TEST_CASE("no wake-up is lost between arming and sleeping, in either direction") {
  SUBCASE("on a transport that signals only when armed, each direction on a handle of its own") {
    ArmedPair pair(128);
    check_echo(std::move(pair.first), std::move(pair.second));
  }
  SUBCASE("on sockets, where both directions share a handle") {
    auto [first, second] = test::socket_pair();
    check_echo(std::move(first), std::move(second));
  }
}

TEST_CASE("the handler is called in a later turn, once for each want, and may destroy the Readiness") {
  ArmedPair pair;
  REQUIRE(pair.second.write(std::as_bytes(std::span("x", 1))).status == Status::ok);
  Loop loop;
  int reads = 0;
  int writes = 0;
  std::unique_ptr<Readiness> readiness;
  readiness = std::make_unique<Readiness>(&loop.loop, pair.first.raw(), [&](ferry_interest interest) {
    if (interest == FERRY_WRITE) {
      ++writes;
      return readiness->want(FERRY_READ);
    }
    ++reads;
    readiness.reset();
  });
  readiness->want(FERRY_WRITE);
  readiness->want(FERRY_WRITE);
  CHECK(writes == 0);
  loop.run();
  CHECK(writes == 1);
  CHECK(reads == 1);
}

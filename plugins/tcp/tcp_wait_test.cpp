// Deadlines, interrupts and cancellation of every call that can wait. A lost wake-up makes these tests hang.
#include <sys/eventfd.h>

#include <thread>

#include "tcp_test_support.hpp"

using namespace ferry::tcp;
using namespace ferry::tcp::test;

namespace {

/// Writes until the connection takes no more, nor a little later, when the kernel has moved bytes on to the peer. Being
/// writable would not do as the sign: the kernel takes a byte long before it calls a full socket writable again.
void fill(Connection& connection) {
  const std::string block(65536, 'x');
  bool took_more = true;
  while (took_more) {
    took_more = connection.write(block.data(), block.size(), in_ms(50)) > 0;
    while (connection.write(block.data(), block.size(), FERRY_NO_WAIT) > 0) took_more = true;
  }
}

/// A descriptor that says "cancelled" once told to.
struct Cancel {
  ferry::plugin::UniqueFd event{eventfd(0, EFD_CLOEXEC)};
  ferry_cancel abi{sizeof(ferry_cancel), 0, event.get()};
  void raise() const { REQUIRE(eventfd_write(event.get(), 1) == 0); }
};

}  // namespace

TEST_CASE_FIXTURE(NoLeak, "calls that may not wait return would-block, with a deadline they time out at it") {
  Transport transport;
  Listener listener = transport.listen();
  Connection client = transport.connect(listener.address());
  Connection server = listener.accept();
  Connection none;
  char byte;
  CHECK(listener.accept(none, FERRY_NO_WAIT) == FERRY_WOULD_BLOCK);
  CHECK(client.read(&byte, 1, FERRY_NO_WAIT) == FERRY_WOULD_BLOCK);
  fill(client);
  CHECK(client.write(&byte, 1, FERRY_NO_WAIT) == FERRY_WOULD_BLOCK);
  CHECK(client.finish(FERRY_NO_WAIT) == FERRY_WOULD_BLOCK);

  const auto times_out = [](auto call) {
    const std::int64_t deadline = in_ms(20);
    CHECK(call(deadline) == FERRY_TIMED_OUT);
    CHECK(ferry::plugin::monotonic_ns() >= deadline);
    CHECK(call(in_ms(-1000)) == FERRY_TIMED_OUT);
  };
  times_out([&](std::int64_t deadline) { return listener.accept(none, deadline); });
  times_out([&](std::int64_t deadline) { return client.read(&byte, 1, deadline); });
  times_out([&](std::int64_t deadline) { return client.finish(deadline); });
  fill(server);
  times_out([&](std::int64_t deadline) {
    std::int64_t status = 0;
    while ((status = server.write(&byte, 1, deadline)) > 0) {  // the kernel may still find room
    }
    return status;
  });
  BlackHole black_hole(transport);
  times_out(
      [&](std::int64_t deadline) { return transport.try_connect(black_hole.address(), none, nullptr, deadline); });
}

TEST_CASE_FIXTURE(NoLeak, "interrupt wakes a sleeping read, write, finish and accept, and stays") {
  Transport transport;
  Listener listener = transport.listen();
  char byte = 0;
  {
    Pair pair;
    std::int64_t status = 0;
    {
      Sleeper reader([&] { status = pair.client.read(&byte, 1, FERRY_FOREVER); });
      reader.asleep();
      pair.client.interrupt();
    }
    CHECK(status == FERRY_INTERRUPTED);
    CHECK(pair.client.read(&byte, 1, FERRY_FOREVER) == FERRY_INTERRUPTED);
    CHECK(pair.server.write("x", 1) == 1);
    pair.client.await_input();
    CHECK(pair.client.read(&byte, 1, FERRY_FOREVER) == 1);  // needs no waiting
  }
  {
    Pair pair;
    fill(pair.client);
    std::int64_t status = 0;
    {
      Sleeper writer([&] {
        while ((status = pair.client.write(&byte, 1, FERRY_FOREVER)) > 0) {
        }
      });
      writer.asleep();
      pair.client.interrupt();
    }
    CHECK(status == FERRY_INTERRUPTED);
  }
  {
    Pair pair;
    fill(pair.client);
    ferry_status status = 0;
    {
      Sleeper finisher([&] { status = pair.client.finish(FERRY_FOREVER); });
      finisher.asleep();
      pair.client.interrupt();
    }
    CHECK(status == FERRY_INTERRUPTED);
  }
  Connection none;
  ferry_status status = 0;
  {
    Sleeper acceptor([&] { status = listener.accept(none, FERRY_FOREVER); });
    acceptor.asleep();
    listener.raw()->ops->interrupt(listener.raw());
  }
  CHECK(status == FERRY_INTERRUPTED);
}

TEST_CASE_FIXTURE(NoLeak, "cancel ends a connect that waits, and one that has not begun to") {
  Transport transport;
  BlackHole black_hole(transport);
  Cancel cancel;
  Connection none;
  ferry_status status = 0;
  {
    Sleeper connector(
        [&] { status = transport.try_connect(black_hole.address(), none, nullptr, FERRY_FOREVER, {}, &cancel.abi); });
    connector.asleep();
    cancel.raise();
  }
  CHECK(status == FERRY_INTERRUPTED);
  CHECK(transport.try_connect(black_hole.address(), none, nullptr, FERRY_FOREVER, {}, &cancel.abi) ==
        FERRY_INTERRUPTED);
}

TEST_CASE_FIXTURE(NoLeak,
                  "a sleeping reader is woken by data, an end and a reset; a sleeping writer by room and a reset") {
  char byte = 0;
  const auto reader_wakes = [&](auto event) {
    Pair pair;
    std::int64_t status = 0;
    {
      Sleeper reader([&] { status = pair.client.read(&byte, 1, FERRY_FOREVER); });
      reader.asleep();
      event(pair.server);
    }
    return status;
  };
  CHECK(reader_wakes([](Connection& peer) { peer.write("x", 1); }) == 1);
  CHECK(reader_wakes([](Connection& peer) { peer.shutdown_write(); }) == FERRY_END);
  CHECK(reader_wakes([](Connection& peer) { peer.abort(); }) == FERRY_RESET);

  const auto writer_wakes = [&](auto event) {
    Pair pair;
    fill(pair.client);
    std::int64_t status = 0;
    {
      Sleeper writer([&] { status = pair.client.write(&byte, 1, FERRY_FOREVER); });
      writer.asleep();
      event(pair);
    }
    return status;
  };
  CHECK(writer_wakes([](Pair& pair) {
          std::int64_t last = 0;
          std::vector<char> buffer(1 << 20);
          while ((last = pair.server.read(buffer.data(), buffer.size(), in_ms(200))) > 0) {
          }
        }) == 1);
  CHECK(writer_wakes([](Pair& pair) { pair.server.abort(); }) == FERRY_RESET);
}

TEST_CASE_FIXTURE(NoLeak, "accept is not delayed by clients that say nothing") {
  Transport transport;
  Listener listener = transport.listen();
  std::vector<Connection> silent;
  for (int i = 0; i < 50; ++i) silent.push_back(transport.connect(listener.address()));
  for (int i = 0; i < 50; ++i) CHECK(listener.accept());
}

// Coroutines over the reactor.
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ferry/await.hpp"
#include "support/armed_pair.hpp"

using namespace ferry;
using namespace std::chrono_literals;
using test::ArmedListener;
using test::ArmedPair;

namespace {

ConstBytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
std::string text_of(ConstBytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

Task<> echo(AsyncChannel channel) {
  while (auto message = co_await channel.receive()) co_await channel.send(*message);
  co_await channel.close();
}

Task<std::string> ask(AsyncChannel& channel, std::string question) {
  co_await channel.send(bytes_of(question));
  const auto answer = co_await channel.receive();
  if (!answer) throw Error(Status::end, "ask", "", "no answer");
  co_return text_of(*answer);
}

/// Says when its coroutine has been destroyed.
struct Canary {
  int& destroyed;
  ~Canary() { ++destroyed; }
};

Task<> wait_for_message(AsyncChannel& channel, Status& status, int& destroyed) {
  const Canary canary{destroyed};
  try {
    (void)co_await channel.receive();
  } catch (const Error& error) {
    status = error.status();
  }
}

}  // namespace

TEST_CASE("a server and its clients as coroutines") {
  Reactor reactor;
  auto queue = std::make_shared<ArmedListener::Queue>();
  int answered = 0;
  Tasks tasks([](const std::exception_ptr& exception) { std::rethrow_exception(exception); });
  tasks.spawn([](Reactor& loop, std::shared_ptr<ArmedListener::Queue> clients, Tasks& group) -> Task<> {
    AsyncListener listener(loop, test::armed_listener(clients));
    for (int i = 0; i < 10; ++i) group.spawn(echo(AsyncChannel(loop, co_await listener.accept())));
  }(reactor, queue, tasks));
  for (int i = 0; i < 10; ++i) {
    tasks.spawn([](Reactor& loop, Connection connection, int& count) -> Task<> {
      AsyncChannel channel(loop, std::move(connection));
      for (int round = 0; round < 100; ++round) {
        const std::string question = "question " + std::to_string(round);
        if (co_await ask(channel, question) == question) ++count;
      }
      const Status closed = co_await channel.close();
      CHECK(closed == Status::ok);
    }(reactor, queue->dial(), answered));
  }
  reactor.run();
  CHECK(answered == 1000);
  CHECK(tasks.size() == 0);
  CHECK(queue->closed);
}

TEST_CASE("send waits for room, and nobody is read from while nobody receives") {
  ArmedPair pair(4096);
  Reactor reactor;
  int sent = 0;
  int received = 0;
  Tasks tasks;
  ReactorLimits limits;
  limits.write_high_watermark = 10'000;
  limits.write_low_watermark = 1'000;
  AsyncChannel reader(reactor, std::move(pair.second));
  tasks.spawn([](AsyncChannel channel, int& count) -> Task<> {
    const std::string message(1000, 'm');
    for (; count < 200; ++count) co_await channel.send(bytes_of(message));
    co_await channel.close();
  }(AsyncChannel(reactor, std::move(pair.first), limits), sent));
  tasks.spawn([](Reactor& loop, AsyncChannel& channel, int& sends, int& count) -> Task<> {
    co_await async_sleep(loop, 10ms);
    CHECK(sends < 20);  // a stalled reader: what is under way is bounded
    while (co_await channel.receive()) ++count;
  }(reactor, reader, sent, received));
  reactor.run();
  CHECK(sent == 200);
  CHECK(received == 200);
}

TEST_CASE("cancel, and the end of the reactor, resume with interrupted; destruction just frees") {
  ArmedPair pair;
  Status status = Status::ok;
  int destroyed = 0;
  Tasks tasks;
  auto reactor = std::make_unique<Reactor>();
  AsyncChannel channel(*reactor, std::move(pair.first));
  tasks.spawn(wait_for_message(channel, status, destroyed));
  CHECK(tasks.size() == 1);
  SUBCASE("cancel") {
    channel.cancel();
    reactor->post([&] { reactor->stop(); });
    reactor->run();
    CHECK(status == Status::interrupted);
  }
  SUBCASE("the reactor ends") {
    reactor.reset();
    CHECK(status == Status::interrupted);
  }
  SUBCASE("the task is destroyed") {
    tasks.cancel_all();
    CHECK(status == Status::ok);
  }
  CHECK(destroyed == 1);
  CHECK(tasks.size() == 0);
}

TEST_CASE("a destroyed task's timer does not fire, and a listener's wait can be cancelled") {
  Reactor reactor;
  Tasks tasks;
  bool woke = false;
  Status status = Status::ok;
  AsyncListener listener(reactor, test::armed_listener(std::make_shared<ArmedListener::Queue>()));
  tasks.spawn([](Reactor& loop, bool& flag) -> Task<> {
    co_await async_sleep(loop, 1ms);
    flag = true;
  }(reactor, woke));
  tasks.cancel_all();
  tasks.spawn([](AsyncListener& from, Reactor& loop, Status& result) -> Task<> {
    try {
      (void)co_await from.accept();
    } catch (const Error& error) {
      result = error.status();
    }
    co_await async_sleep(loop, 5ms);
    loop.stop();
  }(listener, reactor, status));
  listener.cancel();
  reactor.run();
  CHECK(status == Status::interrupted);
  CHECK_FALSE(woke);
}

TEST_CASE("what a task throws goes to whoever awaits it, or to on_error") {
  Reactor reactor;
  std::vector<std::string> caught;
  Tasks tasks([&](const std::exception_ptr& exception) {
    try {
      std::rethrow_exception(exception);
    } catch (const std::exception& known) {
      caught.emplace_back(known.what());
    }
  });
  const auto failing = [](std::string what) -> Task<int> {
    throw std::runtime_error(what);
    co_return 1;
  };
  tasks.spawn([](auto make, std::vector<std::string>& seen) -> Task<> {
    try {
      (void)co_await make("inner");
    } catch (const std::runtime_error& error) {
      seen.emplace_back(error.what());
    }
    (void)co_await make("outer");
  }(failing, caught));
  CHECK((caught == std::vector<std::string>{"inner", "outer"}));
}

TEST_CASE("receiving from a peer that resets throws, sending to it as well") {
  ArmedPair pair;
  Reactor reactor;
  AsyncChannel channel(reactor, std::move(pair.first));
  std::vector<Status> seen;
  Tasks tasks;
  tasks.spawn([](AsyncChannel& from, std::vector<Status>& statuses) -> Task<> {
    try {
      (void)co_await from.receive();
    } catch (const Error& error) {
      statuses.push_back(error.status());
    }
    try {
      co_await from.send({});
    } catch (const Error& error) {
      statuses.push_back(error.status());
    }
  }(channel, seen));
  reactor.post([&] { pair.second.abort(); });
  reactor.run();
  CHECK((seen == std::vector<Status>{Status::reset, Status::reset}));
}

// Reactor::connect, over the plugins that were built.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ferry/await.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "support/temporary_directory.hpp"

using namespace ferry;
using namespace std::chrono_literals;

namespace {

ConstBytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
std::string text_of(ConstBytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

Task<> answer(Reactor& reactor, Connection connection) {
  AsyncChannel channel(reactor, std::move(connection));
  while (auto message = co_await channel.receive()) co_await channel.send(*message);
}

Task<> accept_all(Reactor& reactor, AsyncListener& listener, Tasks& clients) {
  for (;;) clients.spawn(answer(reactor, co_await listener.accept()));
}

Task<> ask(Reactor& reactor, Runtime& runtime, std::string target, int& answered, int count) {
  AsyncChannel channel(reactor, co_await async_connect(reactor, runtime, target + "?linger=60s", 60s));
  const std::string large(300'000, 'l');
  for (const std::string_view question : {std::string_view("small"), std::string_view(large)}) {
    co_await channel.send(bytes_of(question));
    const auto reply = co_await channel.receive();
    CHECK(reply.has_value());
    CHECK((reply && text_of(*reply) == question));
  }
  CHECK(co_await channel.close() == Status::ok);
  if (++answered == count) reactor.stop();
}

}  // namespace

TEST_CASE("fifty clients connect and are answered") {
  const test::TemporaryDirectory directory;
  std::string address;
  SUBCASE("tcp") { address = "tcp://127.0.0.1:0"; }
  SUBCASE("uds") { address = "uds://" + directory / "echo.sock"; }
  Runtime runtime;
  Reactor reactor;
  Tasks clients;
  AsyncListener listener(reactor, runtime.listen(address));
  clients.spawn(accept_all(reactor, listener, clients));
  int answered = 0;
  for (int i = 0; i < 50; ++i) clients.spawn(ask(reactor, runtime, listener.descriptor(), answered, 50));
  reactor.run();
  CHECK(answered == 50);
}

TEST_CASE("a connect that fails tells why, from the loop and once") {
  const test::TemporaryDirectory directory;
  Runtime runtime;
  Reactor reactor;
  int called = 0;
  std::optional<Status> status;
  const auto pending = reactor.connect(runtime, "uds://" + directory / "nobody.sock", 10s,
                                       [&](Connection connection, const Error* error) {
                                         ++called;
                                         CHECK_FALSE(static_cast<bool>(connection));
                                         if (error != nullptr) status = error->status();
                                       });
  CHECK(called == 0);
  reactor.run();
  CHECK(called == 1);
  CHECK(status == Status::not_found);
}

TEST_CASE("a cancelled connect is not heard of again, and the reactor ends without waiting for it") {
  // Nobody accepts and the backlog is full: a connect waits for as long as it may.
  const test::TemporaryDirectory directory;
  const std::string path = directory / "full.sock";
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof(name.sun_path));
  path.copy(name.sun_path, path.size());
  const auto* const address = reinterpret_cast<const sockaddr*>(&name);
  const plugin::UniqueFd listening(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const plugin::UniqueFd filling(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::bind(listening.get(), address, sizeof(name)) == 0);
  REQUIRE(::listen(listening.get(), 0) == 0);
  REQUIRE(::connect(filling.get(), address, sizeof(name)) == 0);

  Runtime runtime;
  int called = 0;
  std::unique_ptr<ReactorHandle> kept;
  const std::int64_t start = monotonic_now_ns();
  {
    Reactor reactor;
    const auto cancelled = reactor.connect(runtime, "uds://" + path, 60s, [&](Connection, const Error*) { ++called; });
    kept = reactor.connect(runtime, "uds://" + path, 60s, [&](Connection, const Error*) { ++called; });
    const auto later = reactor.call_at(20ms, [&] {
      cancelled->cancel();
      reactor.stop();
    });
    reactor.run();
  }
  kept.reset();
  CHECK(called == 0);
  CHECK(monotonic_now_ns() - start < 30'000'000'000);
}

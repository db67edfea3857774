// What one connection may cost the others and the process: memory, turns, system calls.
#include <doctest/doctest.h>
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "ferry/reactor.hpp"
#include "support/armed_pair.hpp"
#include "support/scripted_connection.hpp"

using namespace ferry;
using namespace std::chrono_literals;
using test::ArmedPair;

namespace {

ConstBytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

ReactorConnection::Handlers counting_bytes(std::size_t& count) {
  ReactorConnection::Handlers handlers;
  handlers.on_bytes = [&count](ReactorConnection&, ConstBytes bytes) { count += bytes.size(); };
  return handlers;
}

/// Descriptors for `pairs` pairs; false when the system allows fewer.
bool allow_descriptors_for(std::size_t pairs) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > 4 * pairs + 100;
}

}  // namespace

TEST_CASE("a stalled reader bounds the writer's memory, and it goes on afterwards") {
  ArmedPair pair(100'000);
  Reactor reactor;
  ReactorLimits limits;
  limits.write_high_watermark = 300'000;
  limits.write_low_watermark = 50'000;
  const std::string message(10'000, 'm');
  std::size_t sent = 0;
  std::size_t most_queued = 0;
  int times_writable = 0;
  constexpr std::size_t messages = 1000;
  const auto pump = [&](ReactorConnection& self) {
    while (sent < messages) {
      ++sent;
      const bool room = self.write(bytes_of(message));
      most_queued = std::max(most_queued, self.queued_bytes());
      if (!room) return;
    }
    self.close();
  };
  ReactorConnection::Handlers handlers;
  handlers.on_bytes = [](ReactorConnection&, ConstBytes) {};
  handlers.on_writable = [&](ReactorConnection& self) {
    ++times_writable;
    CHECK(self.queued_bytes() <= limits.write_low_watermark);
    pump(self);
  };
  pump(*reactor.add(std::move(pair.first), std::move(handlers), limits));
  std::size_t received = 0;
  const auto reader = reactor.add(std::move(pair.second), counting_bytes(received));
  reader->pause_reading();
  const auto later = reactor.call_at(20ms, [&] {
    CHECK(received == 0);
    CHECK(times_writable == 0);
    CHECK(sent <= 42);
    reader->resume_reading();
  });
  reactor.run();
  CHECK(received == messages * message.size());
  CHECK(most_queued <= limits.write_high_watermark + message.size());
  CHECK(times_writable > 10);
}

TEST_CASE("a paused reader's memory is bounded") {
  ArmedPair pair(8u << 20);
  Reactor reactor;
  const std::string message(996, 'm');
  std::size_t received = 0;
  ReactorConnection::Handlers handlers;
  std::shared_ptr<ReactorConnection> writer;
  std::unique_ptr<ReactorHandle> later;
  handlers.on_message = [&](ReactorConnection& self, ConstBytes) {
    if (++received > 1) return;
    self.pause_reading();
    later = reactor.call_at(5ms, [&] {  // time for reads that should not be
      CHECK(received == 1);
      {
        const std::lock_guard lock(pair.link->mutex);
        CHECK(pair.link->directions[1].bytes.size() >= 5'000'000 - (256u << 10));
      }
      writer->close();
      self.resume_reading();
    });
  };
  reactor.add(std::move(pair.first), std::move(handlers));
  std::size_t unused = 0;
  writer = reactor.add(std::move(pair.second), counting_bytes(unused));
  for (int i = 0; i < 5000; ++i) writer->send(bytes_of(message));
  reactor.run();
  CHECK(received == 5000);
}

TEST_CASE("a flooding peer does not starve another") {
  // The flood never ends: whoever is served only when it pauses is never served.
  Reactor reactor;
  auto flood = std::make_shared<test::Script>();
  for (int i = 0; i < 2000; ++i) flood->deliver(std::string(64u << 10, 'f'));
  std::size_t flooded = 0;
  reactor.add(test::scripted(flood), counting_bytes(flooded));
  ArmedPair pair;
  std::size_t at_answer = 0;
  ReactorConnection::Handlers echo;
  echo.on_bytes = [](ReactorConnection& self, ConstBytes bytes) { self.write(bytes); };
  reactor.add(std::move(pair.first), std::move(echo));
  int rounds = 0;
  ReactorConnection::Handlers client;
  client.on_bytes = [&](ReactorConnection& self, ConstBytes bytes) {
    if (++rounds < 20) {
      self.write(bytes);
    } else {
      at_answer = flooded;
      reactor.stop();
    }
  };
  reactor.add(std::move(pair.second), std::move(client))->write(bytes_of("ping"));
  reactor.run();
  CHECK(rounds == 20);
  // 40 hops of a few turns each, in each of which the flood may have its 256 KiB once per phase.
  CHECK(at_answer <= 40u * 4 * (256u << 10));
}

TEST_CASE("a thousand connections are served, and cost little while idle") {
  constexpr std::size_t count = 1000;
  REQUIRE(allow_descriptors_for(count));
  std::vector<ArmedPair> pairs(count);
  Reactor reactor;
  std::size_t received = 0;
  std::size_t closed = 0;
  std::vector<std::shared_ptr<ReactorConnection>> clients;
  const std::size_t before = ::mallinfo2().uordblks;
  for (ArmedPair& pair : pairs) {
    ReactorConnection::Handlers echo;
    echo.on_message = [](ReactorConnection& self, ConstBytes message) { self.send(message); };
    reactor.add(std::move(pair.first), std::move(echo));
  }
  for (ArmedPair& pair : pairs) {
    ReactorConnection::Handlers handlers;
    handlers.on_message = [&](ReactorConnection& self, ConstBytes message) {
      received += message.size();
      self.close();
    };
    handlers.on_closed = [&](ReactorConnection&, Status status) { closed += status == Status::ok ? 1 : 0; };
    clients.push_back(reactor.add(std::move(pair.second), std::move(handlers)));
  }
  // Once around, so that what traffic leaves behind counts as well.
  for (const auto& client : clients) client->send(bytes_of("hello"));
  std::size_t per_connection = 0;
  reactor.post([&] { reactor.post([&] { per_connection = (::mallinfo2().uordblks - before) / (2 * count); }); });
  clients.clear();
  reactor.run();
  CHECK(received == 5 * count);
  CHECK(closed == count);
  MESSAGE("bytes per connection: ", per_connection);
  CHECK(per_connection < 2048);
}

TEST_CASE("a short message costs one read: none that would find nothing") {
  Connection::Settings settings;
  settings.wait = WaitPolicy(WaitPolicy::Mode::off, 0);
  ArmedPair pair(1u << 20, settings);
  Reactor reactor;
  std::size_t received = 0;
  ReactorConnection::Handlers handlers;
  handlers.on_bytes = [&](ReactorConnection&, ConstBytes bytes) {
    received += bytes.size();
    reactor.post([&] { reactor.post([&] { reactor.stop(); }); });  // a whole turn later
  };
  reactor.add(std::move(pair.first), std::move(handlers));
  const auto write = reactor.call_at(1ms, [&] { (void)pair.second.write(bytes_of("one")); });
  reactor.run();
  CHECK(received == 3);
  const std::lock_guard lock(pair.link->mutex);
  CHECK(pair.link->directions[1].read_calls == 1);
}

// The reactor over a transport that keeps records apart by itself: the example plugin `records`.
#include <doctest/doctest.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "ferry/reactor.hpp"
#include "support/temporary_directory.hpp"

using namespace ferry;
using namespace std::chrono_literals;

namespace {

ConstBytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
std::string text_of(ConstBytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Two connected ends over a socket file of their own.
class RecordPair {
 public:
  RecordPair() {
    Config config;
    config.plugins.plugin_dirs.emplace_back(FERRY_RECORDS_PLUGIN_DIR);
    runtime_ = Runtime(std::move(config));
    Listener listener = runtime_.listen("records://" + directory_ / "socket");
    first = runtime_.connect_stream(listener.descriptor());
    second = listener.accept(10s);
  }

 private:
  Runtime runtime_;
  test::TemporaryDirectory directory_;

 public:
  Connection first;
  Connection second;
};

}  // namespace

TEST_CASE("records arrive one by one, in order and whole: empty ones and the largest as well") {
  RecordPair pair;
  Reactor reactor;
  const std::vector<std::string> sent = {"one", "", std::string(65'536, 'l'), "four"};
  std::vector<std::string> echoed;
  ReactorConnection::Handlers server;
  server.on_message = [](ReactorConnection& self, ConstBytes record) { self.send(record); };
  reactor.add(std::move(pair.first), std::move(server));
  ReactorConnection::Handlers handlers;
  handlers.on_message = [&](ReactorConnection& self, ConstBytes record) {
    echoed.push_back(text_of(record));
    if (echoed.size() == sent.size()) self.close();
  };
  const auto client = reactor.add(std::move(pair.second), std::move(handlers));
  for (const std::string& record : sent) client->send(bytes_of(record));
  CHECK_THROWS_AS(client->send(bytes_of(std::string(65'537, 'x'))), Error);
  reactor.run();
  CHECK(echoed == sent);
}

TEST_CASE("a stalled reader of records bounds the writer, and every record arrives afterwards") {
  constexpr std::size_t count = 3000;
  RecordPair pair;
  Reactor reactor;
  ReactorLimits limits;
  limits.write_high_watermark = 100'000;
  limits.write_low_watermark = 20'000;
  const auto record_of = [](std::size_t i) { return std::string(i % 1500, static_cast<char>('a' + i % 26)); };
  std::size_t sent = 0;
  std::size_t most_queued = 0;
  int times_writable = 0;
  const auto pump = [&](ReactorConnection& self) {
    while (sent < count) {
      const bool room = self.send(bytes_of(record_of(sent++)));
      most_queued = std::max(most_queued, self.queued_bytes());
      if (!room) return;
    }
    self.close();
  };
  ReactorConnection::Handlers writer;
  writer.on_message = [](ReactorConnection&, ConstBytes) {};
  writer.on_writable = [&](ReactorConnection& self) {
    ++times_writable;
    pump(self);
  };
  std::size_t received = 0;
  std::size_t wrong = 0;
  Status status = Status::would_block;
  ReactorConnection::Handlers handlers;
  handlers.on_message = [&](ReactorConnection&, ConstBytes record) {
    if (text_of(record) != record_of(received++)) ++wrong;
  };
  handlers.on_closed = [&](ReactorConnection&, Status why) { status = why; };
  const auto reader = reactor.add(std::move(pair.second), std::move(handlers));
  reader->pause_reading();
  const auto later = reactor.call_at(20ms, [&] {
    CHECK(received == 0);
    CHECK(sent < count);
    reader->resume_reading();
  });
  pump(*reactor.add(std::move(pair.first), std::move(writer), limits));
  reactor.run();
  CHECK(received == count);
  CHECK(wrong == 0);
  CHECK(status == Status::ok);
  CHECK(times_writable > 0);
  CHECK(most_queued <= limits.write_high_watermark + 1500);
}

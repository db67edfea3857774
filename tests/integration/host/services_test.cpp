// What `ferry serve` and `ferry relay` run, with its clients in threads of the same process, so that a thread sanitizer
// sees both sides: the loop's thread, the threads that connect for relays, and a Runtime that all of them share.
#include <doctest/doctest.h>

#include <iostream>
#include <memory>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "ferry/reactor.hpp"
#include "ferry/runtime.hpp"
#include "serve/server.hpp"
#include "support/temporary_directory.hpp"

using namespace ferry;
using host::Server;

namespace {

/// An echo that proves its clients, and a relay to it; `max_connections` is what a reload changes.
std::shared_ptr<Runtime> configured(const test::TemporaryDirectory& directory, int max_connections) {
  const std::string text = R"({
    "links": { "echo": { "endpoints": ["uds://DIR/echo"], "authkey": "secret" },
               "relayed": { "endpoints": ["uds://DIR/missing", "uds://DIR/relay"], "authkey": "secret" } },
    "services": [
      { "name": "echo", "listen": ["uds://DIR/echo"], "service": "echo", "framing": "messages", "authkey": "secret",
        "max_connections": MAX },
      { "name": "relay", "listen": ["uds://DIR/relay", "tcp://127.0.0.1:0"], "service": "relay",
        "to": "uds://DIR/echo" }
    ] })";
  const std::string in_directory = std::regex_replace(text, std::regex("DIR"), directory.path().string());
  const std::string whole = std::regex_replace(in_directory, std::regex("MAX"), std::to_string(max_connections));
  return std::make_shared<Runtime>(Config::parse(whole, "services_test.json"));
}

/// What a server announces on standard output, which its operator would read.
class Announcements {
 public:
  Announcements() : output_(std::cout.rdbuf(text_.rdbuf())) {}
  Announcements(const Announcements&) = delete;
  Announcements& operator=(const Announcements&) = delete;
  ~Announcements() { std::cout.rdbuf(output_); }
  std::string first(const std::string& scheme) const {
    std::smatch found;
    const std::string text = text_.str();
    REQUIRE(std::regex_search(text, found, std::regex("listening (" + scheme + "\\S+)")));
    return found[1];
  }

 private:
  std::ostringstream text_;
  std::streambuf* output_;
};

void use(Channel channel) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{1000}, std::size_t{300'000}}) {
    const std::string question(size, 'q');
    channel.send(question);
    CHECK(channel.receive_text() == question);
  }
}

}  // namespace

TEST_CASE("services answer clients of many threads while they are reconfigured, and drain when told") {
  constexpr int threads = 4;
  constexpr int clients_per_thread = 12;
  const test::TemporaryDirectory directory;
  const auto runtime = configured(directory, 1000);
  Reactor reactor;
  bool draining = false;
  std::unique_ptr<Server> server;
  const auto end_when_empty = [&] {
    if (draining && server->live() == 0) reactor.stop();
  };
  server = std::make_unique<Server>(reactor, false, end_when_empty);
  std::string tcp;
  {
    const Announcements announced;
    server->apply(runtime->config().services, runtime);
    tcp = announced.first("tcp");
  }
  std::thread loop([&] { reactor.run(); });

  std::vector<std::thread> clients;
  for (int t = 0; t < threads; ++t) {
    clients.emplace_back([&, t] {
      for (int i = 0; i < clients_per_thread; ++i) {
        const int way = (t + i) % 3;
        if (way == 2) {
          Channel channel(runtime->connect_stream(tcp));
          channel.authenticate_as_client("secret");
          use(std::move(channel));
        } else {
          use(runtime->connect(way == 0 ? "echo" : "relayed"));
        }
        reactor.post([&, max = 1000 + i] {
          const auto next = configured(directory, max);
          server->apply(next->config().services, next);
        });
      }
    });
  }
  for (std::thread& client : clients) client.join();
  reactor.post([&] {
    draining = true;
    server->stop_accepting();
    end_when_empty();
  });
  loop.join();
  const host::Ledger ledger = server->ledger();
  CHECK(ledger.connections == threads * clients_per_thread * 2 / 3);
  CHECK(ledger.connect_failures == 0);
  CHECK(ledger.unaccounted() == 0);
  CHECK(ledger.to_target.out > 0);
}

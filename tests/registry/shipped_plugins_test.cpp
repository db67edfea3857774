// The configuration and the runtime with the transports that Ferry ships: what their tables and addresses refuse, and
// links that connect through them.
#include <stdlib.h>

#include <fstream>
#include <future>
#include <string>
#include <vector>

#include "ferry/config.hpp"
#include "ferry/runtime.hpp"
#include "plugin_folder.hpp"

using ferry::Attempt;
using ferry::Channel;
using ferry::Config;
using ferry::ConfigError;
using ferry::Error;
using ferry::Listener;
using ferry::Runtime;
using ferry::Status;
using ferry::test::PluginFolder;
using namespace std::chrono_literals;

namespace {

Config with_plugins(Config config = {}) {
  config.plugins.plugin_dirs = {FERRY_PLUGIN_DIR};
  config.plugins.use_environment = false;
  config.plugins.use_default_dirs = false;
  return config;
}

Config parse(const std::string& text) { return with_plugins(Config::parse(text, "app.json")); }

std::vector<ConfigError::Problem> problems_of(const std::string& text) {
  const ferry::test::TemporaryDirectory folder;
  const auto file = folder.path() / "app.json";
  std::ofstream(file) << text;
  try {
    (void)Config::load_checked(file, {FERRY_PLUGIN_DIR});
  } catch (const ConfigError& error) {
    return error.problems();
  }
  return {};
}

void check_problem(const ConfigError::Problem& problem, std::size_t line, std::size_t column,
                   const std::string& pointer, const std::string& words) {
  INFO(problem.message);
  CHECK(problem.line == line);
  CHECK(problem.column == column);
  CHECK(problem.pointer == pointer);
  CHECK(problem.message.find(words) != std::string::npos);
}

std::string link_json(const std::string& endpoints, const std::string& more = {}) {
  return R"({"links": {"engine": {"endpoints": [)" + endpoints + "]" + more + "}}}";
}

std::string quoted(const std::string& text) { return '"' + text + '"'; }

/// Takes one client, lets it prove that it knows `key` unless that is empty, and sends its first message back.
std::future<std::string> echo_once(Listener& listener, std::string key = {}) {
  return std::async(std::launch::async, [&listener, key = std::move(key)] {
    Channel channel(listener.accept(20s));
    if (!key.empty()) channel.authenticate_as_listener(key, 20s);
    std::string message = channel.receive_text(20s);
    channel.send(message, 20s);
    (void)channel.close();
    return message;
  });
}

/// A tcp address where nobody listens: a listener had it and has closed.
std::string dead_tcp(Runtime& runtime) { return runtime.listen("tcp://127.0.0.1:0").descriptor(); }

}  // namespace

// -------------------------------------------------------------------------------------------------- configuration

TEST_CASE("what only the plugins know is wrong is reported at its place, all at once, with the near miss") {
  const auto problems = problems_of(R"({
  "transports": {
    "tcp": { "nodelai": true, "backlog": 0 },
    "uds": { "mode": "rw" }
  },
  "links": {
    "engine": { "endpoints": [ "tcp://127.0.0.1:99999",
                               { "descriptor": "uds:///run/x", "options": { "sndbuff": 1 } },
                               "tcp://127.0.0.1:1?nodelay=perhaps" ] },
    "other": { "endpoints": [ "tpc://127.0.0.1:1" ] }
  },
  "services": [ { "name": "a", "service": "echo", "listen": [ "tcp://127.0.0.1:port" ] } ]
})");
  REQUIRE(problems.size() == 8);
  check_problem(problems[0], 3, 25, "/transports/tcp/nodelai", "did you mean 'nodelay'?");
  check_problem(problems[1], 3, 42, "/transports/tcp/backlog", "below the minimum");
  check_problem(problems[2], 4, 22, "/transports/uds/mode", "not a file mode");
  check_problem(problems[3], 7, 32, "/links/engine/endpoints/0", "99999");
  check_problem(problems[4], 8, 88, "/links/engine/endpoints/1/options/sndbuff", "did you mean 'sndbuf'?");
  check_problem(problems[5], 9, 32, "/links/engine/endpoints/2", "'perhaps' is neither true nor false");
  check_problem(problems[6], 10, 31, "/links/other/endpoints/0", "did you mean 'tcp'?");
  check_problem(problems[7], 12, 63, "/services/0/listen/0", "port");
}

TEST_CASE("what the core and what the plugins find wrong comes in one list, each thing once") {
  const auto problems = problems_of(R"({
  "lok": {},
  "transports": { "tcp": { "nodelai": true, "spin": "lots" } },
  "links": { "engine": { "endpoints": [ "tcp://127.0.0.1:99999?linger=never" ] } }
})");
  REQUIRE(problems.size() == 5);
  check_problem(problems[0], 2, 3, "/lok", "did you mean 'log'?");
  check_problem(problems[1], 3, 39, "/transports/tcp/nodelai", "did you mean 'nodelay'?");
  check_problem(problems[2], 3, 53, "/transports/tcp/spin", "lots");
  check_problem(problems[3], 4, 41, "/links/engine/endpoints/0", "never");
  check_problem(problems[4], 4, 41, "/links/engine/endpoints/0", "99999");
}

TEST_CASE("a scheme that does not load is reported once, where it is needed first") {
  const auto problems = problems_of(link_json(R"("quick://a", "quick://b")"));
  REQUIRE(problems.size() == 1);
  check_problem(problems[0], 1, 37, "/links/engine/endpoints/0", "no plugin for 'quick'");
}

TEST_CASE("a config that suits the plugins passes") {
  CHECK(problems_of(R"({
    "transports": { "tcp": { "nodelay": false, "spin": "off" }, "uds": { "mode": "0660", "sndbuf": "64KiB" } },
    "links": { "engine": { "endpoints": [ "tcp://[::1]:1?nodelay=on", "/run/x.sock", "local://engine" ] } }
  })")
            .empty());
}

// ----------------------------------------------------------------------------------------------------------- links

TEST_CASE("a link passes over dead endpoints to one that listens, and proves its key there") {
  const PluginFolder folder;
  Runtime server(with_plugins());
  for (const std::string& address :
       {std::string("tcp://127.0.0.1:0"), "uds://" + (folder.path() / "engine.sock").string()}) {
    for (const char* race : {"false", "true"}) {
      CAPTURE(address);
      CAPTURE(race);
      Listener listener = server.listen(address);
      const std::string endpoints = quoted(dead_tcp(server)) + "," +
                                    quoted("uds://" + (folder.path() / "nobody.sock").string()) + "," +
                                    quoted(listener.descriptor());
      Runtime runtime(parse(
          link_json(endpoints, R"(, "connect_deadline": "20s", "authkey": "key", "race": )" + std::string(race))));
      auto echoed = echo_once(listener, "key");
      Channel channel = runtime.connect("engine");
      channel.send("through " + address, 20s);
      CHECK(channel.receive_text(20s) == "through " + address);
      CHECK(echoed.get() == "through " + address);
    }
  }
}

TEST_CASE("a link with the wrong key is refused by both ends") {
  Runtime server(with_plugins());
  Listener listener = server.listen("tcp://127.0.0.1:0");
  Runtime runtime(parse(link_json(quoted(listener.descriptor()), R"(, "authkey": "wrong")")));
  auto echoed = echo_once(listener, "right");
  try {
    (void)runtime.connect("engine");
    FAIL("a wrong key connected");
  } catch (const Error& error) {
    CHECK(error.status() == Status::authentication);
  }
  try {
    (void)echoed.get();
    FAIL("a wrong key was accepted");
  } catch (const Error& error) {
    CHECK(error.status() == Status::authentication);
  }
}

TEST_CASE("the attempts of a link say of each endpoint how it fared, in the transports' own words") {
  const PluginFolder folder;
  Runtime server(with_plugins());
  Listener listener = server.listen("tcp://127.0.0.1:0");
  const std::string missing = "uds://" + (folder.path() / "nobody.sock").string();
  Runtime runtime(
      parse(link_json(quoted(dead_tcp(server)) + "," + quoted(missing) + "," + quoted(listener.descriptor()))));
  std::vector<Attempt> attempts;
  const ferry::Connection connection = runtime.connect_stream("engine", 20s, &attempts);
  CHECK(connection.descriptor() == listener.descriptor());
  REQUIRE(attempts.size() == 3);
  CHECK(attempts[0].status == Status::refused);
  CHECK(attempts[1].status == Status::not_found);
  CHECK(attempts[1].message.find("is the service running?") != std::string::npos);
  CHECK(attempts[2].status == Status::ok);
}

TEST_CASE("the options of a link reach the transport and the connection") {
  Runtime server(with_plugins());
  Listener listener = server.listen("tcp://127.0.0.1:0");
  Runtime runtime(
      parse(link_json(quoted(listener.descriptor() + "?nodelay=false"), R"(, "max_message": "1KiB", "spin": "off")")));
  Channel channel = runtime.connect("engine");
  CHECK(channel.max_message() == 1024);
  CHECK(channel.connection().settings().wait.mode() == ferry::WaitPolicy::Mode::off);
  CHECK(channel.try_send(ferry::ConstBytes(std::vector<std::byte>(1025))) == Status::too_large);
}

// ----------------------------------------------------------------------------------------------------------- local

TEST_CASE("local:// connects two programs of this user by a name alone") {
  const PluginFolder folder;
  ::setenv("XDG_RUNTIME_DIR", folder.path().c_str(), 1);
  Runtime server(with_plugins());
  Runtime client(with_plugins());
  Listener listener = server.listen("local://engine");
  CHECK(listener.descriptor() == "shm://" + folder.path().string() + "/ferry/engine.shm");
  CHECK(client.endpoints_of("local://engine")[1].endpoint.scheme != "shm");
  auto echoed = echo_once(listener);
  Channel channel = client.connect("local://engine");
  channel.send("hello", 20s);
  CHECK(channel.receive_text(20s) == "hello");
  CHECK(echoed.get() == "hello");
  auto again = echo_once(listener);
  channel = client.connect("shm://engine");  // the same place by its own scheme
  channel.send("again", 20s);
  CHECK(channel.receive_text(20s) == "again");
  CHECK(again.get() == "again");
  listener.close();
  CHECK_THROWS_AS((void)client.connect("local://engine"), Error);
}

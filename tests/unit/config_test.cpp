#include "ferry/config.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "support/temporary_directory.hpp"

namespace {

using ferry::Config;
using ferry::ConfigError;

Config parse(std::string_view text) { return Config::parse(text, "app.json"); }

/// Every problem on a line of its own as "line:column pointer: message", empty when there is none.
std::string problems(std::string_view text) {
  try {
    (void)parse(text);
    return {};
  } catch (const ConfigError& error) {
    std::string out;
    for (const ConfigError::Problem& problem : error.problems()) {
      out += (out.empty() ? "" : "\n") + std::to_string(problem.line) + ":" + std::to_string(problem.column) + " " +
             problem.pointer + ": " + problem.message;
    }
    return out;
  }
}

constexpr std::string_view design_example = R"({
  "plugin_dirs": ["./plugins"],                        // searched first
  "plugins": { "allow": ["tcp", "uds", "shm_spsc"] },
  "transports": { "uds": { "sndbuf": "256KiB", "mode": "0600", "backlog": 64, "remove": true } },
  "links": {                                           /* what host code
                                                          calls by name */
    "engine": { "endpoints": ["shm://engine", "uds:///run/app/engine.sock", "tcp://127.0.0.1:7001?nodelay=true"],
                "connect_deadline": "2s", "race": false, "spin": "20us" }
  },
  "services": [
    { "name": "echo", "listen": ["tcp://127.0.0.1:7000", {"descriptor": "uds:///run/app/echo.sock", "options": {"mode": "0660"}}],
      "service": "echo", "framing": "messages", "authkey": "${FERRY_TEST_UNSET:-sesame}", "max_connections": 5 },
    { "name": "pg",   "listen": ["tcp://127.0.0.1:6432"], "service": "relay", "to": "engine" },
    { "name": "hole", "listen": ["tcp://127.0.0.1:0"], "service": "relay", "to": "tcp://h:1,tcp://h:2" }
  ],
  "log": { "level": "warning", "format": "json" }
})";

}  // namespace

TEST_CASE("the whole shape is read") {
  const Config config = Config::parse(design_example, "/etc/app/app.json");
  REQUIRE(config.plugins.plugin_dirs.size() == 1);
  CHECK(config.plugins.plugin_dirs[0] == "/etc/app/plugins");
  CHECK(config.plugins.allow.size() == 3);
  const auto& uds = config.transports.at("uds");
  REQUIRE(uds.size() == 4);
  CHECK(uds[0].name == "sndbuf");
  CHECK(uds[0].text == "256KiB");
  CHECK(uds[0].source == ferry::OptionSource::transport_config);
  CHECK(uds[0].location.to_string() == "/etc/app/app.json:4:38 /transports/uds/sndbuf");
  CHECK(uds[2].form == ferry::SettingForm::number);
  CHECK(uds[3].form == ferry::SettingForm::boolean);
  const ferry::LinkConfig& engine = config.links.at("engine");
  REQUIRE(engine.endpoints.size() == 3);
  CHECK(engine.endpoints[2].endpoint.options.size() == 1);
  CHECK(engine.connect_deadline_ns == 2'000'000'000);
  CHECK_FALSE(engine.race);
  REQUIRE(engine.settings.size() == 1);
  CHECK(engine.settings[0].text == "20us");
  REQUIRE(config.services.size() == 3);
  CHECK(config.services[0].kind == ferry::ServiceKind::echo);
  CHECK(config.services[0].framing == ferry::Framing::messages);
  CHECK(config.services[0].authkey == "sesame");
  CHECK(config.services[0].max_connections == 5);
  REQUIRE(config.services[0].listen.size() == 2);
  CHECK(config.services[0].listen[1].settings[0].source == ferry::OptionSource::endpoint_object);
  CHECK(config.services[1].to_link == "engine");
  CHECK(config.services[1].to.size() == 3);
  CHECK(config.services[1].max_connections == 10'000);
  CHECK(config.services[2].to.size() == 2);
  CHECK(config.services[2].to_link.empty());
  CHECK(config.log.level == "warning");
  CHECK(config.log.format == "json");
}

TEST_CASE("an empty object is a configuration with the defaults") {
  const Config config = parse("{}");
  CHECK(config.links.empty());
  CHECK(config.log.level == "info");
  CHECK(parse(R"({"links": {"a": {"endpoints": ["h:1"]}}})").links.at("a").connect_deadline_ns == 10'000'000'000);
}

TEST_CASE("every problem of a file is reported at once, where it stands") {
  CHECK(problems(R"({
  "lnks": {},
  "transports": { "unix": {} },
  "links": {
    "engine": { "endpoints": ["tab.domian:///run/domain/x", "tcp://h:1?nodelay"],
                "connect_deadline": "2 s", "race": 1, "spin": "fast" },
    "9": { "race": true }
  },
  "services": [
    { "name": "a", "listen": ["h:1"], "service": "relay", "to": "engnie" },
    { "name": "a", "listen": ["h:1"], "service": "echo", "to": "engine", "authkey": "" },
    { "name": "c", "listen": [], "service": "ecko", "max_connections": 0 }
  ],
  "log": { "level": "warn" }
})") == "2:3 /lnks: unknown key 'lnks'; did you mean 'links'?\n"
        "3:19 /transports/unix: options of 'unix' stand under its canonical scheme, 'uds'\n"
        "5:32 /links/engine/endpoints/0: unknown scheme 'tab.domian'; the tab forms are tab.tcp, tab.domain and "
        "tab.pipe; did you mean 'tab.domain'?\n"
        "5:79 /links/engine/endpoints/1: an option is name=value; '=' is missing\n"
        "6:37 /links/engine/connect_deadline: '2 s' is not a duration: write a number and ns, us, ms, s, min or h, "
        "for example 20ms; did you mean '2s'?\n"
        "6:52 /links/engine/race: expected true or false, found 1\n"
        "6:63 /links/engine/spin: option 'spin': expected off, auto or a duration such as 20us, not \"fast\"\n"
        "7:5 /links/9: a link's name is a letter, then letters, digits, '_', '-' and '.', at most 64 in all\n"
        "7:10 /links/9: key 'endpoints' is missing: where to connect, in order of preference\n"
        "10:65 /services/0/to: no link is named 'engnie'; did you mean 'engine'?\n"
        "11:15 /services/1/name: another service has this name, at line 10\n"
        "11:31 /services/1/listen/0: a service already listens there: see line 10\n"
        "11:58 /services/1/to: only a relay has 'to'\n"
        "11:74 /services/1/authkey: authkey needs \"framing\": \"messages\"\n"
        "11:85 /services/1/authkey: is empty\n"
        "12:30 /services/2/listen: at least one descriptor is needed\n"
        "12:45 /services/2/service: 'ecko' is none of echo, discard, relay; did you mean 'echo'?\n"
        "12:72 /services/2/max_connections: '0' is below the minimum, 1\n"
        "14:21 /log/level: 'warn' is none of trace, debug, info, warning, error, off; did you mean 'warning'?");
}

TEST_CASE("what one key demands of another holds for what a variable makes of it") {
  const auto problems = [](const std::string& keys) {
    try {
      (void)Config::parse(R"({"services": [{"name": "a", "listen": ["tcp://127.0.0.1:7000"], )" + keys + "}]}",
                          "app.json");
    } catch (const ConfigError& error) {
      return error.problems().front().message;
    }
    return std::string();
  };
  CHECK(problems(R"("service": "echo", "framing": "${FERRY_NO_SUCH:-bytes}", "authkey": "k")") ==
        "authkey needs \"framing\": \"messages\"");
  CHECK(problems(R"("service": "echo", "framing": "${FERRY_NO_SUCH:-messages}", "authkey": "k")").empty());
  CHECK(problems(R"("service": "${FERRY_NO_SUCH:-echo}", "to": "tcp://127.0.0.1:1")") == "only a relay has 'to'");
  CHECK(problems(R"("service": "${FERRY_NO_SUCH:-relay}", "to": "tcp://127.0.0.1:1")").empty());
  CHECK(problems(R"("service": "relay", "to": "tcp://127.0.0.1:7000")") ==
        "the relay would connect to itself: it listens there, at line 1");
}

TEST_CASE("a relay's target is a link's name alone, and not that of a link with a key") {
  const auto problems_of = [](const std::string& to) {
    return problems(
        R"({"links": { "keyed": { "endpoints": ["h:1"], "authkey": "k" }, "plain": { "endpoints": ["h:1"] } },
"services": [{ "name": "a", "listen": ["h:2"], "service": "relay",
"to": )" +
        to + "}]}");
  };
  CHECK(problems_of(R"("keyed")") ==
        "3:7 /services/0/to: a relay passes bytes on and cannot use the link's \"authkey\"; name the endpoints here "
        "instead, and let the clients prove the key to them");
  CHECK(problems_of(R"(["tcp://h:1", "plain"])") ==
        "3:27 /services/0/to/1: neither scheme nor port; write scheme://address, host:port or an absolute path; a "
        "link's name stands alone, as a relay's \"to\", and in no list");
  CHECK(
      problems_of(R"(["tcp://h:1,tcp://h:2"])") ==
      "3:18 /services/0/to/0: a comma separates descriptors and only one is expected; write %2C for a comma within it");
}

TEST_CASE("the message has one line per problem with file, line, column and pointer") {
  try {
    (void)parse("{\"a\": 1,\n \"b\": 2}");
    FAIL("accepted");
  } catch (const ConfigError& error) {
    const std::string message = error.what();
    CHECK(message.find("\napp.json:1:2 /a: unknown key 'a'") != std::string::npos);
    CHECK(message.find("\napp.json:2:2 /b: unknown key 'b'") != std::string::npos);
  }
}

TEST_CASE("a descriptor's fault is pointed at only where the file has the same bytes") {
  CHECK(problems(R"({"links": {"a": {"endpoints": ["h:x"]}}})").starts_with("1:35 "));
  CHECK(problems(R"({"links": {"a": {"endpoints": ["\u0068:x"]}}})").starts_with("1:32 "));
  CHECK(problems(R"({"links": {"a": {"endpoints": ["${FERRY_TEST_UNSET:-h}:x"]}}})").starts_with("1:32 "));
}

TEST_CASE("columns count characters and pointers are escaped") {
  CHECK(problems("{\"ü~/\": 1, \"b\": 2}") == "1:2 /ü~0~1: unknown key 'ü~/'\n1:12 /b: unknown key 'b'");
}

TEST_CASE("duplicate keys are refused at any depth") {
  CHECK(problems("{\"log\": {\"level\": \"info\",\n \"level\": \"nonsense\"},\n \"log\": {}}") ==
        "2:2 /log/level: duplicate key 'level'; the first is at line 1\n"
        "3:2 /log: duplicate key 'log'; the first is at line 1");
  CHECK(problems(R"({"links": {"a": {"endpoints": ["h:1"]}, "\u0061": {"x": [{"y": 1}]}}})") ==
        "1:41 /links/a: duplicate key 'a'; the first is at line 1");
}

TEST_CASE("wrong types are named at every place") {
  CHECK(problems("[]") == "1:1 : expected an object, found a list");
  CHECK(problems("null") == "1:1 : expected an object, found null");
  CHECK(problems(R"({"links": []})") == "1:11 /links: expected an object, found a list");
  CHECK(problems(R"({"links": {"a": {"endpoints": "h:1"}}})") ==
        "1:31 /links/a/endpoints: expected a list, found text");
  CHECK(problems(R"({"links": {"a": {"endpoints": [1]}}})") ==
        "1:32 /links/a/endpoints/0: expected a descriptor or an object with one, found a number");
  CHECK(problems(R"({"log": {"level": null}})").ends_with("in quotes, found null"));
  CHECK(problems(R"({"transports": {"tcp": {"nodelay": [true]}}})") ==
        "1:36 /transports/tcp/nodelay: expected text, a number, true or false, found a list");
  CHECK(problems(R"({"$schema": 1})") == "1:13 /$schema: expected text, found a number");
  CHECK(problems(R"({"plugins": {"allow": ["../x"], "sha256": {"tcp": "12"}}})") ==
        "1:24 /plugins/allow/0: a plugin's name is lower-case letters, digits and '_'\n"
        "1:51 /plugins/sha256/tcp: expected the 64 lower-case hexadecimal digits that sha256sum prints");
}

TEST_CASE("core options are checked wherever they may stand") {
  CHECK(problems(R"({"transports": {"tcp": {"linger": "2h"}}})") ==
        "1:35 /transports/tcp/linger: option 'linger': '2h' is above the maximum, 1h");
  CHECK(problems(R"({"links": {"a": {"endpoints": ["h:1?linger=2h"]}}})") ==
        "1:32 /links/a/endpoints/0: option 'linger': '2h' is above the maximum, 1h");
  CHECK(problems(R"({"links": {"a": {"endpoints": ["h:1"], "max_message": 0}}})") ==
        "1:55 /links/a/max_message: option 'max_message': '0' is below the minimum, 1B");
}

/// With FERRY_TEST_KEY=s3cret and FERRY_TEST_EMPTY= in the environment, as ctest has it.
TEST_CASE("variables are put in place and their values stay out of messages") {
  const auto level_of = [](const std::string& text) { return "{\"log\": {\"level\": \"" + text + "\"}}"; };
  CHECK(parse(level_of("${FERRY_TEST_UNSET:-debug}")).log.level == "debug");
  CHECK(parse(level_of("${FERRY_TEST_EMPTY:-de}${FERRY_TEST_EMPTY}bug")).log.level == "debug");
  CHECK(problems(level_of("${FERRY_TEST_KEY}")) ==
        "1:19 /log/level: the value is none of trace, debug, info, warning, error, off");
  CHECK(problems(level_of("${FERRY_TEST_UNSET}")) ==
        "1:19 /log/level: environment variable FERRY_TEST_UNSET is not set; set it, or write "
        "${FERRY_TEST_UNSET:-default}");
  CHECK(problems(level_of("${FERRY_TEST_UNSET")).ends_with("'${' without '}'; write ${NAME}, or $${ for ${ itself"));
  CHECK(problems(level_of("${1}")).find("'1' is no variable's name") != std::string::npos);
  CHECK(parse(R"({"links": {"a": {"endpoints": ["h:1"], "authkey": "$${x}$y$"}}})").links.at("a").authkey == "${x}$y$");
  const Config config = parse(R"({"transports": {"tcp": {"sndbuf": "${FERRY_TEST_KEY}"}}})");
  CHECK(config.transports.at("tcp")[0].text == "s3cret");
  CHECK(config.transports.at("tcp")[0].is_hidden);
  std::string huge = "{\"log\": {\"level\": \"";
  for (int i = 0; i < 11000; ++i) huge += "${FERRY_TEST_KEY}";
  CHECK(problems(huge + "\"}}").ends_with("longer than 65536 bytes once its variables are put in place"));
}

TEST_CASE("what is no JSON is refused where it goes wrong, without quoting the text") {
  CHECK(problems("").starts_with("1:1 : "));
  CHECK(problems("{\n  \"log\": {\"level\": \"info\",}\n}").starts_with("2:27 /log: syntax error"));
  CHECK(problems(R"({"links": {"a": {"authkey": "s3cret\q"}}})").find("s3cret") == std::string::npos);
  CHECK(problems("{} x").starts_with("1:4 : "));
  CHECK(problems(R"({"a": NaN})").starts_with("1:7 : "));
  CHECK(problems(R"({"a": 1e999})") == "1:11 : the number is out of range");
  CHECK(problems(R"({"a": "\ud800"})").find("surrogate") != std::string::npos);
  CHECK(problems("{\"a\": \"\xff\"}") == "1:8 : byte 0xff is a control character or malformed UTF-8");
  CHECK(problems("{} // \xff") == "1:7 : byte 0xff is a control character or malformed UTF-8");
  CHECK(problems(std::string_view("{}\0{", 4)) == "1:3 : byte 0x00 is a control character or malformed UTF-8");
  CHECK(problems("\xef\xbb\xbf{}") == "1:1 : the file starts with a byte order mark; save it as UTF-8 without one");
  CHECK(problems(R"({"log": {"level": "in\u0000fo"}})") == "1:19 /log/level: holds a NUL character");
  CHECK(problems("{/* open").starts_with("1:9 : "));
  CHECK(problems(R"({"a" "b"})").starts_with("1:6 : "));
  CHECK(problems(R"({"a": : 1})").starts_with("1:7 : "));
}

TEST_CASE("depth, size and the number of problems are bounded") {
  CHECK(problems(std::string(100'000, '[')).ends_with(": nested deeper than 32 levels"));
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "{\"a\":";
  CHECK(problems(deep).ends_with(": nested deeper than 32 levels"));
  CHECK(problems("{}" + std::string(ferry::max_config_bytes, ' ')).ends_with("the file is larger than 1 MiB"));
  CHECK(problems("{}" + std::string(ferry::max_config_bytes - 2, ' ')).empty());
  std::string many = "{\"a0\": 0";
  for (int i = 1; i < 5000; ++i) many += ",\"a" + std::to_string(i) + "\": 0";
  CHECK(problems(many + "}").find("only the first 200 problems") != std::string::npos);
}

TEST_CASE("link names have the shape that no descriptor has") {
  for (const char* name : {"engine", "a", "Engine-2.b_c"}) CHECK(ferry::is_link_name(name));
  for (const char* name : {"", "9a", "a:1", "/a", "a b", "\\\\h\\pipe\\x", "ü"}) CHECK_FALSE(ferry::is_link_name(name));
  CHECK_FALSE(ferry::is_link_name(std::string(65, 'a')));
}

TEST_CASE("a file is loaded by path, and why it cannot be is said") {
  const ferry::test::TemporaryDirectory directory;
  const std::filesystem::path& folder = directory.path();
  std::ofstream(folder / "app.json") << R"({"plugin_dirs": ["plugins"]})";
  CHECK(Config::load(folder / "app.json").plugins.plugin_dirs[0] == folder / "plugins");
  try {
    (void)Config::load(folder / "absent.json");
    FAIL("loaded");
  } catch (const ferry::Error& error) {
    CHECK(error.status() == ferry::Status::not_found);
    CHECK(error.target() == (folder / "absent.json").string());
  }
  CHECK_THROWS_AS(Config::load(folder), ferry::Error);
}

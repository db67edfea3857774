#include "ferry/endpoint.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using ferry::DescriptorError;
using ferry::Endpoint;
using ferry::parse_endpoint;
using ferry::parse_endpoints;

struct Reading {
  const char* text;
  const char* scheme;
  const char* address;
};

/// What the parser says of a malformed descriptor, as "offset: reason".
std::string refusal(std::string_view text) {
  try {
    return "accepted as " + parse_endpoint(text).to_string();
  } catch (const DescriptorError& error) {
    return std::to_string(error.offset()) + ": " + error.reason();
  }
}

bool has_tab_form(const Endpoint& endpoint) {
  try {
    return !endpoint.to_tab().empty();
  } catch (const ferry::Error&) {
    return false;
  }
}

}  // namespace

TEST_CASE("every spelling is read to its scheme and address") {
  const Reading readings[] = {
      {"tcp://127.0.0.1:7000", "tcp", "127.0.0.1:7000"},
      {"TCP://Example.org:7000", "tcp", "Example.org:7000"},
      {"tab.tcp://127.0.0.1:7000", "tcp", "127.0.0.1:7000"},
      {"tab.tcp://127.0.0.1:auto", "tcp", "127.0.0.1:0"},
      {"tcp://localhost:auto", "tcp", "localhost:0"},
      {"127.0.0.1:7000", "tcp", "127.0.0.1:7000"},
      {"localhost:auto", "tcp", "localhost:0"},
      {"[::1]:0", "tcp", "[::1]:0"},
      {"[fe80::1%25eth0]:80", "tcp", "[fe80::1%eth0]:80"},
      {"uds:///run/app.sock", "uds", "/run/app.sock"},
      {"uds://./app.sock", "uds", "./app.sock"},
      {"unix:///run/app.sock", "uds", "/run/app.sock"},
      {"unix:/run/app.sock", "uds", "/run/app.sock"},
      {"unix:../app.sock", "uds", "../app.sock"},
      {"unix:@name", "uds", "@name"},
      {"uds:@name", "uds", "@name"},
      {"uds://@name", "uds", "@name"},
      {"/run/app.sock", "uds", "/run/app.sock"},
      {"/run/100%25%3F%2C.sock", "uds", "/run/100%?,.sock"},
      {"tab.domain:///run/app/domain/x", "uds", "/run/app/x"},
      {"tab.domain:///domain/x", "uds", "/x"},
      {"tab.domain:///a/domain/b/domain/c", "uds", "/a/b/domain/c"},
      {"tab.domain://run/domain/x", "uds", "./run/x"},
      {"tab.domain://./domain/x", "uds", "./x"},
      {"tab.domain:///tmp/pg/domain/.s.PGSQL.5432", "uds", "/tmp/pg/.s.PGSQL.5432"},
      {"npipe://./pipe/name", "npipe", "./pipe/name"},
      {"tab.pipe://server/pipe/name", "npipe", "server/pipe/name"},
      {"\\\\.\\pipe\\name", "npipe", "./pipe/name"},
      {"\\\\server\\PIPE\\a/b", "npipe", "server/pipe/a/b"},
      {"shm://engine", "shm", "engine"},
      {"shm:///run/engine", "shm", "/run/engine"},
      {"quic://[::1]:443", "quic", "[::1]:443"},
      {"local://engine", "local", "engine"},
      {"x-vendor+2.0://anything at all://here", "x-vendor+2.0", "anything at all://here"},
      {"  tcp://h:1  ", "tcp", "h:1"},
  };
  for (const Reading& reading : readings) {
    CAPTURE(reading.text);
    const Endpoint endpoint = parse_endpoint(reading.text);
    CHECK(endpoint.scheme == reading.scheme);
    CHECK(endpoint.address == reading.address);
    CHECK(endpoint.options.empty());
    CHECK(parse_endpoint(endpoint.to_string()) == endpoint);
    if (has_tab_form(endpoint)) CHECK(parse_endpoint(endpoint.to_tab()) == endpoint);
  }
}

TEST_CASE("the query gives options in order, decoded") {
  const Endpoint endpoint = parse_endpoint("tcp://h:1?nodelay=true&note=a%26b%3Dc=d+e%2C&empty=");
  REQUIRE(endpoint.options.size() == 3);
  CHECK(endpoint.options[0] == ferry::EndpointOption{"nodelay", "true"});
  CHECK(endpoint.options[1] == ferry::EndpointOption{"note", "a&b=c=d+e,"});
  CHECK(endpoint.options[2] == ferry::EndpointOption{"empty", ""});
  CHECK(endpoint.to_string() == "tcp://h:1?nodelay=true&note=a%26b%3Dc%3Dd+e%2C&empty=");
  CHECK(parse_endpoint(endpoint.to_string()) == endpoint);
}

TEST_CASE("printing escapes what would be read as something else") {
  const Endpoint endpoint{"uds", "/run/a b?c,d%e#f/ü", {}};
  CHECK(endpoint.to_string() == "uds:///run/a%20b%3Fc%2Cd%25e%23f/ü");
  CHECK(parse_endpoint(endpoint.to_string()) == endpoint);
}

TEST_CASE("the tab form is printed for what has one") {
  CHECK(parse_endpoint("tcp://h:7?a=b").to_tab() == "tab.tcp://h:7?a=b");
  CHECK(parse_endpoint("h:0").to_tab() == "tab.tcp://h:auto");
  CHECK(parse_endpoint("/run/app/x").to_tab() == "tab.domain:///run/app/domain/x");
  CHECK(parse_endpoint("/x").to_tab() == "tab.domain:///domain/x");
  CHECK(parse_endpoint("unix:./x").to_tab() == "tab.domain://./domain/x");
  CHECK(parse_endpoint("/a/domain/b/c").to_tab() == "tab.domain:///a/domain/domain/b/c");
  CHECK(parse_endpoint("\\\\.\\pipe\\n").to_tab() == "tab.pipe://./pipe/n");
  for (const char* without : {"uds:@abstract", "shm://x", "quic://h:1", "npipe://odd"}) {
    CAPTURE(without);
    CHECK_THROWS_AS(parse_endpoint(without).to_tab(), ferry::Error);
  }
}

TEST_CASE("a refusal names the byte at fault and what to write instead") {
  const std::pair<const char*, const char*> refusals[] = {
      {"", "0: a descriptor is missing here; write for example tcp://127.0.0.1:7000"},
      {"tab.domian:///a/domain/x",
       "0: unknown scheme 'tab.domian'; the tab forms are tab.tcp, tab.domain and tab.pipe; did you mean "
       "'tab.domain'?"},
      {"t_cp://h:1", "1: '_' cannot stand in a scheme, which is letters, digits, '+', '.' and '-'"},
      {"://h:1", "0: a scheme starts with a letter"},
      {"9p://h:1", "0: a scheme starts with a letter"},
      {"tcp://", "6: an address is missing after '://'"},
      {"tcp://?a=b", "6: an address is missing after '://'"},
      {"tcp:127.0.0.1:80", "3: a scheme is followed by '://'"},
      {"unix:relative", "4: a scheme is followed by '://'"},
      {"uds://run/app.sock",
       "6: a socket's path starts with '/' (or './', '../'), an abstract name with '@'; write uds:///run/app.sock"},
      {"uds:///run/", "11: the path ends in '/'; name the socket's file"},
      {"/", "1: the path ends in '/'; name the socket's file"},
      {"unix:@", "6: an abstract socket's name is missing after '@'"},
      {"tab.domain:///run/x", "19: no '/domain/' between directory and name; write tab.domain://<dir>/domain/<name>"},
      {"tab.domain:///run/domain/", "25: the socket's file name is missing after '/domain/'"},
      {"tab.pipe://./name", "12: a pipe's address is <host>/pipe/<name>; write for example tab.pipe://./pipe/name"},
      {"tab.pipe://./pipe/", "12: a pipe's address is <host>/pipe/<name>; write for example tab.pipe://./pipe/name"},
      {"\\\\.\\mailslot\\x", "3: a pipe's name continues with '\\pipe\\'; write \\\\.\\pipe\\name"},
      {"\\\\.\\pipe\\a\\b", "10: '\\' cannot stand here; a pipe is \\\\host\\pipe\\name"},
      {"\\\\", "2: the host is missing; write \\\\.\\pipe\\name for this machine"},
      {"localhost", "9: neither scheme nor port; write scheme://address, host:port or an absolute path"},
      {"localhost:", "10: the port is missing after ':'; write a number from 0 to 65535 or 'auto'"},
      {"localhost:http", "10: a port is a number from 0 to 65535 or 'auto'"},
      {"localhost:65536", "10: a port is at most 65535"},
      {"localhost:99999999999999999999", "10: a port is at most 65535"},
      {":7000", "0: the host is missing before ':'; write for example 127.0.0.1:7000 or 0.0.0.0:7000"},
      {"::1:7000", "0: an IPv6 address stands in brackets; write for example [::1]:7000"},
      {"host:80/path", "7: '/' cannot stand in host:port; write scheme://address"},
      {"tcp://h:1?", "10: an option is missing here; write name=value"},
      {"tcp://h:1?a=b&", "14: an option is missing here; write name=value"},
      {"tcp://h:1?=b", "10: an option is missing here; write name=value"},
      {"tcp://h:1?nodelay", "17: an option is name=value; '=' is missing"},
      {"tcp://h:1?a=b&%61=c", "14: option 'a' is given twice"},
      {"tcp://h:1,tcp://h:2",
       "9: a comma separates descriptors and only one is expected; write %2C for a comma within it"},
      {"/run/100%", "8: '%' is followed by two hexadecimal digits; write %25 for '%' itself"},
      {"/run/%zz", "5: '%' is followed by two hexadecimal digits; write %25 for '%' itself"},
      {"/run/a\nb", "6: byte 0x0a is a control character or malformed UTF-8, which no descriptor may hold"},
      {"/run/a%00b",
       "6: byte 0x00, written here with '%', is a control character or malformed UTF-8, which no descriptor may hold"},
      {"/run/ok%C3%28",
       "7: byte 0xc3, written here with '%', is a control character or malformed UTF-8, which no descriptor may hold"},
      {"/run/\xff", "5: byte 0xff is a control character or malformed UTF-8, which no descriptor may hold"},
      {"/run/\xed\xa0\x80", "5: byte 0xed is a control character or malformed UTF-8, which no descriptor may hold"},
  };
  for (const auto& entry : refusals) {
    const std::string text = entry.first;
    CAPTURE(text);
    CHECK(refusal(text) == entry.second);
  }
}

TEST_CASE("the message shows the text with a caret under the byte") {
  try {
    (void)parse_endpoint("tcp://ü?nodelay");
    FAIL("accepted");
  } catch (const DescriptorError& error) {
    const std::string message = error.what();
    CHECK(message.find("\n  tcp://ü?nodelay\n                 ^") != std::string::npos);
    CHECK(error.status() == ferry::Status::invalid);
  }
}

TEST_CASE("the message of a long descriptor shows the part around the byte and no control characters") {
  const std::string text = "/" + std::string(300, 'a') + "\x1b[31m" + std::string(300, 'b');
  try {
    (void)parse_endpoint(text);
    FAIL("accepted");
  } catch (const DescriptorError& error) {
    const std::string message = error.what();
    CHECK(error.offset() == 301);
    CHECK(message.find('\x1b') == std::string::npos);
    CHECK(message.size() < 400);
  }
}

TEST_CASE("sizes are bounded, as written and as printed") {
  const std::string longest = "/" + std::string(ferry::max_descriptor_bytes - 64, 'a');
  CHECK(parse_endpoint(longest).address == longest);
  CHECK(refusal("/" + std::string(ferry::max_descriptor_bytes, 'a')) ==
        "4096: the descriptor is longer than 4096 bytes");
  CHECK(refusal("/" + std::string(ferry::max_descriptor_bytes / 2, '#')) ==
        "0: the descriptor is longer than 4096 bytes once its special characters are escaped");
  std::string many = "tcp://h:1?";
  for (std::size_t i = 0; i <= ferry::max_options_per_descriptor; ++i) many += "o" + std::to_string(i) + "=1&";
  many.pop_back();
  CHECK(refusal(many).ends_with("a descriptor takes at most 64 options"));
}

TEST_CASE("a list keeps its order and reports offsets in the whole text") {
  const std::vector<Endpoint> endpoints = parse_endpoints("shm://x, uds:///a%2Cb ,127.0.0.1:1?a=b");
  REQUIRE(endpoints.size() == 3);
  CHECK(endpoints[0].scheme == "shm");
  CHECK(endpoints[1].address == "/a,b");
  CHECK(endpoints[2].options.size() == 1);
  try {
    (void)parse_endpoints("shm://x,localhost");
    FAIL("accepted");
  } catch (const DescriptorError& error) {
    CHECK(error.offset() == 17);
  }
  CHECK_THROWS_AS(parse_endpoints("shm://x,"), DescriptorError);
  CHECK_THROWS_AS(parse_endpoints(""), DescriptorError);
  std::string many = "shm://x";
  for (std::size_t i = 0; i < ferry::max_descriptors_per_list; ++i) many += ",shm://x";
  CHECK_THROWS_AS(parse_endpoints(many), DescriptorError);
}

namespace {

/// Text of 1…`most` characters, rich in what the grammar gives a meaning.
std::string random_text(std::mt19937& random, std::size_t most) {
  static const std::vector<std::string> alphabet = {
      "a",  "b", "7", ":", "/",  "@", ".", "?", "&",        "=",      ",",     "%",   "#",   " ",
      "\\", "[", "]", "+", "\"", "ü", "€", "😀", "/domain/", "/pipe/", ":auto", "://", "%41", "~"};
  std::uniform_int_distribution<std::size_t> pick(0, alphabet.size() - 1);
  std::string text;
  for (std::size_t i = std::uniform_int_distribution<std::size_t>(1, most)(random); i > 0; --i)
    text += alphabet[pick(random)];
  return text;
}

}  // namespace

TEST_CASE("random endpoints print to what parses to themselves, in both forms") {
  std::mt19937 random(20240611);
  const std::vector<std::string> schemes = {"tcp", "uds", "npipe", "shm", "quic", "x+y"};
  std::size_t with_tab_form = 0;
  for (int round = 0; round < 20000; ++round) {
    Endpoint endpoint;
    endpoint.scheme = schemes[std::uniform_int_distribution<std::size_t>(0, schemes.size() - 1)(random)];
    endpoint.address = random_text(random, 12);
    if (endpoint.scheme == "tcp" && endpoint.address.ends_with(":auto")) endpoint.address += "0";
    if (endpoint.scheme == "uds") endpoint.address = "/" + endpoint.address + "x";
    if (endpoint.scheme == "npipe" && round % 2 == 0) endpoint.address = "host/pipe/" + endpoint.address;
    for (int i = std::uniform_int_distribution<int>(0, 3)(random); i > 0; --i) {
      endpoint.options.push_back({std::to_string(i) + random_text(random, 4), random_text(random, 6)});
    }
    CAPTURE(endpoint.to_string());
    REQUIRE(parse_endpoint(endpoint.to_string()) == endpoint);
    if (!has_tab_form(endpoint)) continue;
    ++with_tab_form;
    REQUIRE(parse_endpoint(endpoint.to_tab()) == endpoint);
  }
  CHECK(with_tab_form > 5000);
}

#include <doctest/doctest.h>

#include <string>

#include "ferry/plugin.hpp"
#include "ferry/sdk/host_address.hpp"

using namespace ferry::plugin;

namespace {

/// The complaint about `text`, or "" when it is well formed.
std::string complaint(std::string_view text) {
  try {
    parse_host_address(text);
    return "";
  } catch (const ferry::plugin::Failure& failure) {
    CHECK(failure.status() == FERRY_INVALID);
    return failure.what();
  }
}

bool complains(std::string_view text, std::string_view about) {
  const std::string said = complaint(text);
  CAPTURE(said);
  return said.find(about) != std::string::npos;
}

}  // namespace

TEST_CASE("well-formed addresses are split into host and port") {
  const auto check = [](std::string_view text, HostKind kind, std::string_view host, int port) {
    CAPTURE(text);
    const HostAddress address = parse_host_address(text);
    CHECK(address.kind == kind);
    CHECK(address.host == host);
    CHECK(address.port == port);
  };
  check("127.0.0.1:7000", HostKind::ipv4, "127.0.0.1", 7000);
  check("[::1]:0", HostKind::ipv6, "::1", 0);
  check("[fe80::1%eth0]:65535", HostKind::ipv6, "fe80::1%eth0", 65535);
  check("[::ffff:10.0.0.1]:1", HostKind::ipv6, "::ffff:10.0.0.1", 1);
  check("localhost:auto", HostKind::name, "localhost", 0);
  check("db-1.example.org.:5432", HostKind::name, "db-1.example.org.", 5432);
  check("my_service:80", HostKind::name, "my_service", 80);
  check("3com.example:80", HostKind::name, "3com.example", 80);
  check("*:7000", HostKind::every_interface, "", 7000);
  check(":7000", HostKind::every_interface, "", 7000);
}

TEST_CASE("a complaint names the part at fault") {
  CHECK(complains("", "empty"));
  CHECK(complains("localhost", "port is missing in 'localhost'"));
  CHECK(complains("localhost:", "port is missing"));
  CHECK(complains("localhost:http", "'http' is not a number"));
  CHECK(complains("localhost:80x", "'80x'"));
  CHECK(complains("localhost:-1", "'-1'"));
  CHECK(complains("localhost:65536", "out of range"));
  CHECK(complains("localhost:99999999999999999999", "out of range"));
  CHECK(complains("::1:7000", "brackets"));
  CHECK(complains("[::1:7000", "']'"));
  CHECK(complains("[::1]", "port must follow"));
  CHECK(complains("[::1]7000", "port must follow"));
  CHECK(complains("[127.0.0.1]:7000", "not an IPv6 address"));
  CHECK(complains("[]:7000", "not an IPv6 address"));
  CHECK(complains("[::1%]:7000", "zone"));
  CHECK(complains("[::1%interface-name-too-long]:7000", "zone"));
  CHECK(complains("256.0.0.1:7000", "not an IPv4 address"));
  CHECK(complains("127.1:7000", "not an IPv4 address"));
  CHECK(complains("0x7f000001:7000", "not an IPv4 address"));
  CHECK(complains("2130706433:7000", "not an IPv4 address"));
  CHECK(complains("a..b:1", "empty part"));
  CHECK(complains(".:1", "empty part"));
  CHECK(complains("-a.b:1", "'-a'"));
  CHECK(complains("a b:1", "' '"));
  CHECK(
      complains("b\xc3\xbc"
                "cher.example:1",
                "xn--"));
  CHECK(complains(std::string(64, 'a') + ":1", "63 bytes"));
  CHECK(complains(std::string(2, 'a') + std::string(260, '.') + ":1", "253 bytes"));
}

TEST_CASE("bytes that could garble a log are not repeated and lengths are bounded") {
  CHECK(complaint("localhost:\x1b[2J").find('\x1b') == std::string::npos);
  CHECK(complains(std::string_view("[::1\0]:1", 8), "not an IPv6 address"));
  CHECK(complains(std::string_view("a\0b:1", 5), "cannot stand"));
  CHECK(complaint(std::string(1'000'000, '9')).size() < 400);
  CHECK(complaint("localhost:" + std::string(1'000'000, '9')).size() < 400);
}

TEST_CASE("formatting puts brackets around IPv6 only, and parses back") {
  CHECK(format_host_address("127.0.0.1", 80) == "127.0.0.1:80");
  CHECK(format_host_address("::1", 80) == "[::1]:80");
  for (const char* text : {"[fe80::1%eth0]:9", "example.org:443", "10.0.0.1:1"}) {
    const HostAddress address = parse_host_address(text);
    CHECK(format_host_address(address.host, address.port) == text);
  }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

TEST_CASE("no cut and no changed byte of an address breaks the parser") {
  const auto feed = [](const std::string& text) {
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  };
  for (const std::string seed : {"127.0.0.1:7000", "[fe80::1%eth0]:65535", "[::ffff:10.0.0.1]:1",
                                 "a-b.example.org.:auto", "*:0", "0x7f.1:80", "[::1]:99999999999"}) {
    for (std::size_t i = 0; i <= seed.size(); ++i) feed(seed.substr(0, i));
    for (std::size_t i = 0; i < seed.size(); ++i) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string changed = seed;
        changed[i] = static_cast<char>(byte);
        feed(changed);
        feed(changed.insert(i, 1, static_cast<char>(byte)));
      }
    }
  }
}

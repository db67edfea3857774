// Retry: when a listener asks clients for their address, and which tokens it takes for an answer.
#include <doctest/doctest.h>

#include <vector>

#include "quic_test_port.hpp"

using namespace ferry;
using namespace ferry::quic;

namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::size_t initial_bytes = 1200;
constexpr std::size_t retry_tag_bytes = 16;  // RFC 9000, section 17.2.5

/// What looks like an Initial from outside, and cannot be decrypted.
Bytes initial(const Bytes& destination, const Bytes& token) {
  Bytes out = {0xc3, 0, 0, 0, 1, static_cast<std::uint8_t>(destination.size())};
  out.insert(out.end(), destination.begin(), destination.end());
  out.insert(out.end(), {8, 1, 2, 3, 4, 5, 6, 7, 8});
  out.insert(out.end(), {static_cast<std::uint8_t>(0x40 | token.size() >> 8), static_cast<std::uint8_t>(token.size())});
  out.insert(out.end(), token.begin(), token.end());
  const std::size_t rest = initial_bytes - out.size() - 2;
  out.insert(out.end(), {static_cast<std::uint8_t>(0x40 | rest >> 8), static_cast<std::uint8_t>(rest)});
  out.resize(initial_bytes, 7);
  return out;
}

/// A Retry's source, which is the next Initial's destination, and its token.
std::pair<Bytes, Bytes> parts_of(const Bytes& retry) {
  REQUIRE(retry.size() > 40);
  REQUIRE((retry[0] & 0xf0) == 0xf0);
  const auto source = retry.begin() + 6 + retry[5];
  const auto token = source + 1 + *source;
  return {{source + 1, token}, {token, retry.end() - retry_tag_bytes}};
}

}  // namespace

TEST_CASE("a Retry's token is taken for ten seconds, from the address and for the id that it was made for") {
  Port port("always");
  Client client;
  Client other;
  const std::uint64_t now = now_ns();
  const Bytes id = {9, 9, 9, 9, 9, 9, 9, 9};
  port.receive(initial(id, {}), client.address(), now);
  const auto [destination, token] = parts_of(client.receive());
  const auto refused = [&](const Bytes& packet, Client& from, std::uint64_t at) {
    port.receive(packet, from.address(), at);
    const Bytes answer = from.receive();
    return !answer.empty() && (answer[0] & 0xf0) == 0xc0;  // an Initial, with CONNECTION_CLOSE
  };
  CHECK(refused(initial(destination, token), client, now + 11 * second_ns));
  CHECK(refused(initial(destination, token), other, now));
  CHECK(refused(initial(id, token), client, now));
  Bytes changed = token;
  changed.back() ^= 1;
  CHECK(refused(initial(destination, changed), client, now));
  CHECK(port.sessions() == 0);
  CHECK_FALSE(refused(initial(destination, token), client, now + 9 * second_ns));
}

TEST_CASE("with 64 handshakes under way, the next client must prove its address first, unless that is never wanted") {
  for (const char* retry : {"auto", "never"}) {
    CAPTURE(retry);
    Port port(retry);
    Client client;
    for (int i = 0; i < 64; ++i) port.receive(port.first_packet(), client.address(), now_ns());
    CHECK(port.sessions() == 64);
    CHECK_FALSE(client.is_asked_to_retry());
    port.receive(port.first_packet(), client.address(), now_ns());
    const bool asked = retry == std::string_view("auto");
    CHECK(client.is_asked_to_retry() == asked);
    CHECK(port.sessions() == (asked ? 64 : 65));
  }
}

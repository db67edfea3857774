// The handshake against vectors made with CPython's hmac module, and against itself.
#include "ferry/authentication.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace ferry;
using State = Authentication::State;
using Role = Authentication::Role;

namespace {

ConstBytes bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

std::string from_hex(std::string_view hex) {
  std::string text;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    text.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return text;
}

std::string ascending(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text.push_back(static_cast<char>(i));
  return text;
}

/// Lets two sides talk until neither has anything to say; returns the messages in order.
std::vector<std::string> converse(Authentication& client, Authentication& listener) {
  std::vector<std::string> said;
  for (bool quiet = false; !quiet;) {
    quiet = true;
    while (const auto message = listener.take_message()) {
      said.push_back(*message);
      client.receive(bytes(*message));
      quiet = false;
    }
    while (const auto message = client.take_message()) {
      said.push_back(*message);
      listener.receive(bytes(*message));
      quiet = false;
    }
  }
  return said;
}

}  // namespace

TEST_CASE("two sides with one key are done; the messages have the newer form") {
  Authentication client(Role::client, "key"), listener(Role::listener, "key");
  const auto said = converse(client, listener);
  CHECK(client.state() == State::done);
  CHECK(listener.state() == State::done);
  REQUIRE(said.size() == 6);
  CHECK(said[0].substr(0, 19) == "#CHALLENGE#{sha256}");
  CHECK(said[0].size() == 19 + 40);
  CHECK(said[1].substr(0, 8) == "{sha256}");
  CHECK(said[1].size() == 8 + 32);
  CHECK(said[2] == "#WELCOME#");
  CHECK(said[3] != said[0]);
  CHECK(said[5] == "#WELCOME#");
}

TEST_CASE("two sides with different keys both fail, and the one that judges says so to the other") {
  Authentication client(Role::client, "one"), listener(Role::listener, "two");
  const auto said = converse(client, listener);
  CHECK(client.state() == State::failed);
  CHECK(listener.state() == State::failed);
  CHECK(said.back() == "#FAILURE#");
  CHECK(client.reason().find("authkeys differ") != std::string_view::npos);
}

// Expected MACs: python3 -c 'import hmac; print(hmac.new(b"peekaboo", MESSAGE, DIGEST).hexdigest())'
TEST_CASE("challenges of every form get the answer that CPython would give") {
  struct Case {
    std::string challenge, answer;
  };
  const Case cases[] = {
      {ascending(20), from_hex("e0bc5ff5981c5742feca0faaf7408f99")},
      {"{md5}" + ascending(40), "{md5}" + from_hex("903be2b6bb9f46aae3278c59cba05b91")},
      {"{sha256}" + ascending(40),
       "{sha256}" + from_hex("eda328927ea5867e57357e92ff7a849cdfe50b5fecbe9282ff9d63f0fe76b0b6")},
      {"{sha384}" + ascending(40),
       "{sha384}" +
           from_hex(
               "09d5e8c98ebc2ef5aca36ccd6b94536e933b9949b6e934b5151cbc387df455b7d61ccdd51415b97b7f19e6540356cf4f")},
      {"{sha3_256}" + ascending(40),
       "{sha3_256}" + from_hex("825f36224947040f95f7c50c6b1cf0856f48e19be14410e8061b24f04efb53af")},
      {"{sha3_384}" + ascending(40),
       "{sha3_384}" +
           from_hex(
               "bc55a084c3a13534918386127b5fd6c74b3bd1169b35e1223e36feb005d0b823c190062ec313837c099ca002d8731266")},
  };
  for (const Case& c : cases) {
    Authentication client(Role::client, "peekaboo");
    client.receive(bytes("#CHALLENGE#" + c.challenge));
    CHECK(client.state() == State::working);
    CHECK(client.take_message() == c.answer);
  }
}

TEST_CASE("challenges that CPython 3.12 refuses are refused") {
  const std::string nonce = ascending(40);
  const std::string refused[] = {"",
                                 "#CHALLENGE",
                                 "#CHALLENGE#",
                                 "#CHALLENGE#" + ascending(19),
                                 "#CHALLENGE#" + ascending(16),
                                 "#CHALLENGE#" + nonce,
                                 "#CHALLENGE#{sha1}" + nonce,
                                 "#CHALLENGE#{sha256" + nonce,
                                 "#CHALLENGE#{}" + nonce,
                                 "#WELCOME#",
                                 "#CHALLENGE#{sha256}" + std::string(300, 'x')};
  for (const std::string& message : refused) {
    Authentication client(Role::client, "key");
    client.receive(bytes(message));
    CHECK_MESSAGE(client.state() == State::failed, message);
    CHECK_FALSE(client.reason().empty());
    CHECK(client.take_message() == std::nullopt);
  }
}

TEST_CASE("answers of the wrong form, length or content are refused with #FAILURE#") {
  const std::string refused[] = {"",
                                 std::string(16, 'x'),
                                 std::string(20, 'x'),
                                 "{sha256}",
                                 "{sha256}" + std::string(32, 'x'),
                                 "{md5}" + std::string(16, 'x'),
                                 "{sha1}" + std::string(20, 'x'),
                                 std::string(32, 'x'),
                                 "#WELCOME#"};
  for (const std::string& answer : refused) {
    Authentication listener(Role::listener, "key");
    CHECK(listener.take_message().has_value());
    listener.receive(bytes(answer));
    CHECK(listener.state() == State::failed);
    CHECK(listener.take_message() == "#FAILURE#");
    CHECK(listener.take_message() == std::nullopt);
  }
}

TEST_CASE("a client that sends our challenge back proves nothing") {
  Authentication listener(Role::listener, "key");
  const std::string challenge = *listener.take_message();
  listener.receive(bytes(challenge));
  CHECK(listener.state() == State::failed);
}

TEST_CASE("anything but a welcome is a refusal") {
  for (const std::string verdict : {"#FAILURE#", "", "#WELCOME# ", "welcome"}) {
    Authentication client(Role::client, "key");
    client.receive(bytes("#CHALLENGE#" + ascending(20)));
    CHECK(client.take_message().has_value());
    client.receive(bytes(verdict));
    CHECK(client.state() == State::failed);
    client.receive(bytes("#WELCOME#"));
    CHECK(client.state() == State::failed);
  }
}

TEST_CASE("an empty key is refused: it would let everybody in") {
  CHECK_THROWS_AS(Authentication(Role::listener, ""), Error);
}

TEST_CASE("a challenge is told from a message that only begins like one") {
  Authentication listener(Role::listener, "key");
  CHECK(Authentication::is_challenge(bytes(*listener.take_message())));
  CHECK(Authentication::is_challenge(bytes("#CHALLENGE#" + std::string(20, 'n'))));
  CHECK_FALSE(Authentication::is_challenge(bytes("#CHALLENGE# accepted")));
  CHECK_FALSE(Authentication::is_challenge(bytes("#CHALLENGE#" + std::string(300, 'n'))));
  CHECK_FALSE(Authentication::is_challenge(bytes("hello")));
}

// The authkey handshake of Python's multiprocessing.connection, without I/O.
//
// Both sides prove that they know the key: the listener challenges and the client answers, then the other way round
// (CPython, Lib/multiprocessing/connection.py, Listener.accept and Client). A challenge is `#CHALLENGE#` and a nonce,
// the answer a MAC of all that follows `#CHALLENGE#`, the verdict `#WELCOME#` or `#FAILURE#`. Two generations are
// spoken:
//   CPython ≤ 3.11   nonce of 20 bytes; answer HMAC-MD5, 16 bytes
//   CPython ≥ 3.12   nonce `{sha256}` and 40 bytes; answer `{digest}` and its HMAC, or the older answer
// Our challenge is of the newer form, which the older peers answer in their way. A listener that asks with the older
// form gets the older answer: the protocol has no defence against that downgrade to HMAC-MD5.
//
// Reflection: a peer cannot have its challenge answered by sending it back on the same connection, because a listener
// answers only a client that has proven itself and a client makes its challenge after it has answered. But an answer
// does not say which connection or side it belongs to: whoever gets a key holder to dial him can pass another holder's
// challenge on and use the answer (a relay, also between two connections of one process). The protocol cannot detect
// that, and programs that dial themselves do the same rightly. So dial only addresses that others cannot listen on, and
// encrypt where the network is not trusted: the handshake authenticates the start of a connection, and neither encrypts
// nor protects what follows.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ferry/connection.hpp"

namespace ferry {

/// One side of one handshake. Feed it what arrives, send what it says. One thread at a time; not copied, it holds the
/// key.
///
///   for (;;) {
///     while (auto message = handshake.take_message()) send(*message);
///     if (handshake.state() != Authentication::State::working) break;
///     handshake.receive(receive_at_most(Authentication::max_message_bytes));
///   }
class Authentication {
 public:
  enum class Role : std::uint8_t { client, listener };
  enum class State : std::uint8_t { working, done, failed };

  /// No message of the handshake is longer (CPython's own bound).
  static constexpr std::size_t max_message_bytes = 256;

  /// Whether a message that was expected from an application is a listener's challenge instead: it wants a key.
  static bool is_challenge(ConstBytes message) noexcept;

  /// `key` is copied, and wiped on destruction. Throws Error(invalid) when it is empty, Error(io) without randomness.
  Authentication(Role role, std::string_view key);
  ~Authentication();
  Authentication(const Authentication&) = delete;
  Authentication& operator=(const Authentication&) = delete;

  /// The next message to send, in order; nothing when there is none now. Also after a failure there may be one: the
  /// verdict for the peer.
  std::optional<std::string> take_message();
  /// One message from the peer. Ignored unless the state is working.
  void receive(ConstBytes message);

  State state() const noexcept { return state_; }
  /// Why it failed, for the log; says nothing secret.
  std::string_view reason() const noexcept { return reason_; }

 private:
  enum class Step : std::uint8_t { expect_challenge, expect_verdict, expect_answer };

  void deliver_challenge();
  void answer_challenge(std::string_view message);
  void judge_answer(std::string_view answer);
  void take_verdict(std::string_view message);
  void fail(std::string reason);

  Role role_;
  Step step_;
  State state_ = State::working;
  std::string key_;
  std::string challenge_;  // ours, without #CHALLENGE#
  std::array<std::string, 2> outgoing_;
  std::size_t outgoing_count_ = 0;
  std::string reason_;
};

}  // namespace ferry

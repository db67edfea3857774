#include "ferry/authentication.hpp"

#include <nettle/hmac.h>
#include <nettle/md5.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <nettle/sha3.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "secure.hpp"

namespace ferry {

namespace {

constexpr std::string_view challenge_prefix = "#CHALLENGE#";
constexpr std::string_view welcome = "#WELCOME#";
constexpr std::string_view failure = "#FAILURE#";

// Lengths of CPython's older form; a newer message is never so short.
constexpr std::size_t old_nonce_bytes = 20;
constexpr std::size_t old_answer_bytes = 16;

constexpr std::size_t nonce_bytes = 40;  // as CPython 3.12
constexpr std::string_view our_digest = "sha256";

struct Digest {
  std::string_view name;
  const nettle_hash& hash;
};

/// CPython 3.12's _ALLOWED_DIGESTS.
const Digest* find_digest(std::string_view name) noexcept {
  static const std::array digests{Digest{"md5", nettle_md5}, Digest{"sha256", nettle_sha256},
                                  Digest{"sha384", nettle_sha384}, Digest{"sha3_256", nettle_sha3_256},
                                  Digest{"sha3_384", nettle_sha3_384}};
  const auto* found = std::find_if(digests.begin(), digests.end(), [&](const Digest& d) { return d.name == name; });
  return found == digests.end() ? nullptr : found;
}

union HashState {
  md5_ctx md5;
  sha256_ctx sha256;
  sha512_ctx sha512;
  sha3_256_ctx sha3_256;
  sha3_384_ctx sha3_384;
};

const std::uint8_t* octets(std::string_view text) noexcept {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

std::string hmac(const nettle_hash& hash, std::string_view key, std::string_view message) {
  HashState outer, inner, state;
  std::string mac(hash.digest_size, '\0');
  hmac_set_key(&outer, &inner, &state, &hash, key.size(), octets(key));
  hmac_update(&state, &hash, message.size(), octets(message));
  hmac_digest(&outer, &inner, &state, &hash, mac.size(), reinterpret_cast<std::uint8_t*>(mac.data()));
  for (HashState* used : {&outer, &inner, &state}) wipe(std::as_writable_bytes(std::span(used, 1)));
  return mac;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && memeql_sec(a.data(), b.data(), a.size()) != 0;
}

struct Tagged {
  const Digest* digest = nullptr;  // null: none, or one that is not allowed
  std::string_view payload;
};

Tagged split_tag(std::string_view message) noexcept {
  if (!message.starts_with('{')) return {};
  const std::size_t end = message.find('}');
  if (end == std::string_view::npos) return {};
  return {find_digest(message.substr(1, end - 1)), message.substr(end + 1)};
}

std::string tagged(const Digest& digest, std::string_view payload) {
  return "{" + std::string(digest.name) + "}" + std::string(payload);
}

std::string_view text_of(ConstBytes message) noexcept {
  return {reinterpret_cast<const char*>(message.data()), message.size()};
}

std::string random_text(std::size_t size) {
  std::string text(size, '\0');
  fill_random(std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace

Authentication::Authentication(Role role, std::string_view key)
    : role_(role), step_(role == Role::client ? Step::expect_challenge : Step::expect_answer), key_(key) {
  if (key.empty()) throw Error(Status::invalid, "authenticate", "", "the authkey is empty; set one, or none at all");
  if (role == Role::listener) deliver_challenge();
}

Authentication::~Authentication() { wipe(std::as_writable_bytes(std::span(key_))); }

std::optional<std::string> Authentication::take_message() {
  if (outgoing_count_ == 0) return std::nullopt;
  std::string message = std::move(outgoing_[0]);
  outgoing_[0] = std::move(outgoing_[1]);
  --outgoing_count_;
  return message;
}

bool Authentication::is_challenge(ConstBytes message) noexcept {
  const std::string_view text = text_of(message);
  return text.size() >= challenge_prefix.size() + old_nonce_bytes && text.size() <= max_message_bytes &&
         text.starts_with(challenge_prefix);
}

void Authentication::receive(ConstBytes message) {
  if (state_ != State::working) return;
  if (message.size() > max_message_bytes) return fail("the peer sent a handshake message longer than 256 bytes");
  const std::string_view text = text_of(message);
  switch (step_) {
    case Step::expect_challenge:
      return answer_challenge(text);
    case Step::expect_verdict:
      return take_verdict(text);
    case Step::expect_answer:
      return judge_answer(text);
  }
}

void Authentication::deliver_challenge() {
  challenge_ = tagged(*find_digest(our_digest), random_text(nonce_bytes));
  outgoing_[outgoing_count_++] = std::string(challenge_prefix) + challenge_;
  step_ = Step::expect_answer;
}

void Authentication::answer_challenge(std::string_view message) {
  if (message == failure) return fail("the peer refused our answer: the authkeys differ");
  if (!message.starts_with(challenge_prefix)) {
    return fail("the peer sent no challenge: it uses no authkey, or is no multiprocessing peer");
  }
  message.remove_prefix(challenge_prefix.size());
  if (message.size() < old_nonce_bytes) return fail("the peer's challenge is too short to be safe");
  if (message.size() == old_nonce_bytes) {
    outgoing_[outgoing_count_++] = hmac(nettle_md5, key_, message);
  } else {
    const Tagged challenge = split_tag(message);
    if (challenge.digest == nullptr) return fail("the peer's challenge asks for a digest that is unknown");
    outgoing_[outgoing_count_++] = tagged(*challenge.digest, hmac(challenge.digest->hash, key_, message));
  }
  step_ = Step::expect_verdict;
}

void Authentication::take_verdict(std::string_view message) {
  if (message != welcome) return fail("the peer refused our answer: the authkeys differ");
  if (role_ == Role::listener) {
    state_ = State::done;
  } else {
    deliver_challenge();
  }
}

void Authentication::judge_answer(std::string_view answer) {
  const bool old_form = answer.size() == old_answer_bytes || answer.size() == old_nonce_bytes;
  const Tagged given = old_form ? Tagged{find_digest("md5"), answer} : split_tag(answer);
  if (given.digest == nullptr || !equal_in_constant_time(hmac(given.digest->hash, key_, challenge_), given.payload)) {
    outgoing_[outgoing_count_++] = failure;
    return fail("the peer's answer to our challenge is wrong: the authkeys differ");
  }
  outgoing_[outgoing_count_++] = welcome;
  if (role_ == Role::client) {
    state_ = State::done;
  } else {
    step_ = Step::expect_challenge;
  }
}

void Authentication::fail(std::string reason) {
  state_ = State::failed;
  reason_ = std::move(reason);
}

}  // namespace ferry

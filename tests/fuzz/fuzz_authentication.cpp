// Whatever a peer without the key says, the handshake never ends well and never says more than the protocol has.
//
// Input: one byte of role, then messages, each after a byte of its length.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "ferry/authentication.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using ferry::Authentication;
  if (size == 0) return 0;
  const auto role = (data[0] & 1) != 0 ? Authentication::Role::client : Authentication::Role::listener;
  Authentication handshake(role, "a key that nobody guesses");
  const auto all = std::as_bytes(std::span(data, size));
  for (std::size_t at = 1; at < size;) {
    while (const auto message = handshake.take_message()) {
      if (message->empty() || message->size() > Authentication::max_message_bytes) std::abort();
    }
    const std::size_t length = std::min<std::size_t>(data[at], size - at - 1);
    handshake.receive(all.subspan(at + 1, length));
    at += 1 + length;
    if (handshake.state() == Authentication::State::done) std::abort();
    if (handshake.state() == Authentication::State::failed && handshake.reason().empty()) std::abort();
  }
  return 0;
}

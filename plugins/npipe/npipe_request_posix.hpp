// The bytes that clients write into the rendezvous FIFO, and the answer to them. I/O-free.
//
// POSIX lets writes of up to PIPE_BUF bytes never mix, so a request is one such write. Whoever may open the FIFO can
// still write anything, so a request says what it is and carries a checksum; after other bytes the reader finds the
// next one. README.md has the layout.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace ferry::npipe {

/// Names a client's pair of FIFOs. Random, so that no two clients meet.
using PairId = std::array<std::uint8_t, 16>;

inline constexpr std::size_t request_bytes = 32;
using Request = std::array<std::uint8_t, request_bytes>;

/// What the listener writes into the client's `down` FIFO once it holds both.
inline constexpr std::array<std::uint8_t, 8> accepted_answer = {0xF5, 'f', 'e', 'r', 'r', 'y', 'O', 'K'};

Request make_request(const PairId& id) noexcept;

/// 32 lower-case hexadecimal digits.
std::string to_text(const PairId& id);

/// Finds requests in a stream of bytes. A value type.
class RequestReader {
 public:
  enum class Found : std::uint8_t { nothing_yet, request, junk };

  /// Where to put the next bytes; empty only between a request found and taken().
  std::span<std::uint8_t> room() noexcept { return std::span(bytes_).subspan(held_); }

  /// Says that `count` bytes of the room were filled. A request, whose own `id` is then, stays until taken(). Junk is
  /// skipped up to where a request may begin.
  Found added(std::size_t count, PairId& id) noexcept;
  void taken() noexcept { held_ = 0; }

 private:
  Request bytes_{};
  std::size_t held_ = 0;
};

}  // namespace ferry::npipe

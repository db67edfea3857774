// The frame codec: how messages stand in a byte stream. No I/O, no memory; the layout is in docs/reference/framing.md.
//
//   python    4-byte big-endian signed length, or -1 and an 8-byte big-endian length; then the payload. As CPython's
//             Lib/multiprocessing/connection.py, Connection._send_bytes writes it.
//   aligned   8-byte big-endian length; the payload; zeros up to a multiple of 8. So every payload starts
//             8-aligned where the stream itself does (frame_alignment 8 in ferry_connection_info).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ferry/connection.hpp"

namespace ferry {

enum class FrameFormat : std::uint8_t { python, aligned };

inline constexpr std::size_t python_header_bytes = 4;
inline constexpr std::size_t python_long_header_bytes = 12;
inline constexpr std::size_t aligned_header_bytes = 8;
inline constexpr std::size_t max_frame_header_bytes = python_long_header_bytes;
inline constexpr std::size_t frame_alignment_bytes = 8;
inline constexpr std::uint64_t python_short_limit = 0x7fffffff;  // largest length that fits the 4-byte form
/// No payload is larger, whatever the configured limit: sums of sizes then cannot overflow.
inline constexpr std::uint64_t max_frame_payload_bytes = std::uint64_t{1} << 62;

/// What the transport of a byte stream asks for.
inline FrameFormat frame_format_of(const ferry_connection_info& facts) noexcept {
  return facts.frame_alignment == frame_alignment_bytes ? FrameFormat::aligned : FrameFormat::python;
}

/// Lent bytes may be memory that another process still writes to. The empty asm keeps the compiler from fetching a
/// length again after it was checked.
template <class Value>
void load_once(Value& value) noexcept {
  asm("" : "+r"(value));
}
inline std::uint32_t load_big_endian_32(const std::byte* from) noexcept {
  std::uint32_t value;
  std::memcpy(&value, from, sizeof(value));
  load_once(value);
  return std::endian::native == std::endian::little ? __builtin_bswap32(value) : value;
}
inline std::uint64_t load_big_endian_64(const std::byte* from) noexcept {
  std::uint64_t value;
  std::memcpy(&value, from, sizeof(value));
  load_once(value);
  return std::endian::native == std::endian::little ? __builtin_bswap64(value) : value;
}
inline void store_big_endian_32(std::byte* to, std::uint32_t value) noexcept {
  if (std::endian::native == std::endian::little) value = __builtin_bswap32(value);
  std::memcpy(to, &value, sizeof(value));
}
inline void store_big_endian_64(std::byte* to, std::uint64_t value) noexcept {
  if (std::endian::native == std::endian::little) value = __builtin_bswap64(value);
  std::memcpy(to, &value, sizeof(value));
}

/// Zero bytes that follow a payload of `size` bytes.
constexpr std::size_t frame_padding(FrameFormat format, std::uint64_t size) noexcept {
  return format == FrameFormat::aligned ? static_cast<std::size_t>(-size % frame_alignment_bytes) : 0;
}

/// Bytes of the header of a payload of `size` bytes.
constexpr std::size_t frame_header_size(FrameFormat format, std::uint64_t size) noexcept {
  if (format == FrameFormat::aligned) return aligned_header_bytes;
  return size <= python_short_limit ? python_header_bytes : python_long_header_bytes;
}

/// Bytes of the whole frame of a payload of at most python_short_limit bytes.
constexpr std::size_t short_frame_size(FrameFormat format, std::size_t size) noexcept {
  if (format == FrameFormat::python) return python_header_bytes + size;
  return (aligned_header_bytes + size + frame_alignment_bytes - 1) / frame_alignment_bytes * frame_alignment_bytes;
}

/// Writes the header of a payload of `size` bytes and returns its own size, at most max_frame_header_bytes.
inline std::size_t write_frame_header(FrameFormat format, std::uint64_t size, std::byte* to) noexcept {
  if (format == FrameFormat::aligned) {
    store_big_endian_64(to, size);
    return aligned_header_bytes;
  }
  if (size <= python_short_limit) {
    store_big_endian_32(to, static_cast<std::uint32_t>(size));
    return python_header_bytes;
  }
  store_big_endian_32(to, 0xffffffff);
  store_big_endian_64(to + 4, size);
  return python_long_header_bytes;
}

inline constexpr std::size_t small_payload_bytes = 128;

/// memcpy without the call, of at most small_payload_bytes: two overlapping halves. Without a jump from 33 to 64 bytes.
inline void copy_small_payload(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  if (size > 32) [[likely]] {
    std::memcpy(to, from, 32);
    if (size > 64) [[unlikely]] {
      std::memcpy(to + 32, from + 32, 32);
      std::memcpy(to + size - 64, from + size - 64, 32);
    }
    std::memcpy(to + size - 32, from + size - 32, 16);
    std::memcpy(to + size - 16, from + size - 16, 16);
  } else if (size > 16) {
    std::memcpy(to, from, 16);
    std::memcpy(to + size - 16, from + size - 16, 16);
  } else if (size > 8) {
    std::memcpy(to, from, 8);
    std::memcpy(to + size - 8, from + size - 8, 8);
  } else {
    for (std::size_t i = 0; i < size; ++i) to[i] = from[i];
  }
}

inline void copy_payload(std::byte* to, const std::byte* from, std::size_t size) noexcept {
  if (size > small_payload_bytes) {
    std::memcpy(to, from, size);
  } else {
    copy_small_payload(to, from, size);
  }
}

/// The header of a payload to come, and zeros where its padding will be. In shared memory a store that runs ahead of
/// the others costs the time of fetching its line, so there is none where there is no padding.
inline void store_aligned_header(std::byte* to, std::size_t size) noexcept {
  store_big_endian_64(to, size);
  if (size % frame_alignment_bytes == 0) return;
  std::memset(to + aligned_header_bytes + size / frame_alignment_bytes * frame_alignment_bytes, 0,
              frame_alignment_bytes);
}

/// Writes a whole frame, of a payload of at most python_short_limit bytes, and returns its size.
inline std::size_t write_frame(FrameFormat format, ConstBytes payload, std::byte* to) noexcept {
  if (format == FrameFormat::python) {
    store_big_endian_32(to, static_cast<std::uint32_t>(payload.size()));
    copy_payload(to + python_header_bytes, payload.data(), payload.size());
    return python_header_bytes + payload.size();
  }
  store_aligned_header(to, payload.size());
  copy_payload(to + aligned_header_bytes, payload.data(), payload.size());
  return short_frame_size(FrameFormat::aligned, payload.size());
}

/// The same in the aligned format and of at most small_payload_bytes, without a call.
inline std::size_t write_small_aligned_frame(ConstBytes payload, std::byte* to) noexcept {
  store_aligned_header(to, payload.size());
  copy_small_payload(to + aligned_header_bytes, payload.data(), payload.size());
  return short_frame_size(FrameFormat::aligned, payload.size());
}

/// Guesses that a size is the one before it, as messages often repeat theirs. Where that holds, what is computed from
/// the size need not wait until it is loaded, as the processor goes on with the guess: the loads of the next frame, or
/// the answer to this one.
class LikelySize {
 public:
  /// Returns `size`.
  std::uint64_t take(std::uint64_t size) noexcept {
    std::uint64_t guess = last_;
    asm("" : "+r"(guess));  // else the compiler sees that it is `size` where the two are equal, and uses that
    if (size == last_) {
      asm volatile("");  // keeps this a jump: a conditional move would wait
      return last_ = guess;
    }
    return last_ = size;
  }

 private:
  std::uint64_t last_ = 0;
};

/// The beginning of a frame, as far as it is known.
struct FrameHead {
  std::uint64_t payload = 0;  ///< bytes; 0 until the header is whole
  std::size_t header = 0;     ///< bytes of the header
  /// Bytes of the whole frame; of the header while that is not whole.
  std::uint64_t total = 0;
};

/// Reads the header at the start of `bytes`, which may hold any part of the stream from a frame's start on.
/// Ok: `head` is whole. would_block: head.total bytes are needed to say more. protocol: no frame starts so.
/// too_large: the payload is above `max_payload`.
inline Status read_frame_head(FrameFormat format, ConstBytes bytes, std::uint64_t max_payload,
                              FrameHead& head) noexcept {
  const bool python = format == FrameFormat::python;
  head = {};
  head.total = head.header = python ? python_header_bytes : aligned_header_bytes;
  if (bytes.size() < head.header) return Status::would_block;
  if (python) {
    const auto length = static_cast<std::int32_t>(load_big_endian_32(bytes.data()));
    if (length < -1) return Status::protocol;
    if (length == -1) {
      head.total = head.header = python_long_header_bytes;
      if (bytes.size() < head.header) return Status::would_block;
      head.payload = load_big_endian_64(bytes.data() + 4);
    } else {
      head.payload = static_cast<std::uint32_t>(length);
    }
  } else {
    head.payload = load_big_endian_64(bytes.data());
  }
  if (head.payload > max_payload || head.payload > max_frame_payload_bytes) return Status::too_large;
  head.total = head.header + head.payload + frame_padding(format, head.payload);
  return Status::ok;
}

}  // namespace ferry

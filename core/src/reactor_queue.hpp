// What a connection has queued to write: bytes in chunks, the oldest first.
//
// A large message that its sender shares is a chunk of its own, which refers to it instead of holding a copy.
//
// Small messages are copied one behind the other, so that a turn's worth of them leaves in one gathered write. The
// first chunk of a queue is small and the others large: ten thousand stalled peers with a few bytes each then hold a
// page each, while a busy queue still grows by 64 KiB at a time. Rejected: one growing vector (moves what is queued)
// and one allocation per message (its cost is above that of the message).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <span>

#include "ferry/abi.h"
#include "ferry/reactor.hpp"
#include "frame.hpp"

namespace ferry {

/// A run of queued bytes [begin, end) of `data`: the `capacity` bytes that follow the header, or all of a message that
/// `owner` keeps, which has no room for more.
struct WriteChunk {
  WriteChunk* next;
  const std::byte* data;
  std::size_t begin;
  std::size_t end;
  std::size_t capacity;
  std::shared_ptr<const void> owner;
  std::byte* own() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
  std::size_t room() const noexcept { return capacity - end; }
};

/// Keeps a few empty chunks for the next turn. One per reactor; not thread safe.
class WriteChunkPool {
 public:
  static constexpr std::uint32_t small_bytes = (4u << 10) - sizeof(WriteChunk);
  static constexpr std::uint32_t large_bytes = 64u << 10;
  static constexpr std::uint32_t kept_small = 64;
  static constexpr std::uint32_t kept_large = 32;  // more than one queue holds at the default watermark

  WriteChunkPool() = default;
  WriteChunkPool(const WriteChunkPool&) = delete;
  WriteChunkPool& operator=(const WriteChunkPool&) = delete;
  ~WriteChunkPool();

  WriteChunk* take(bool large);
  void give_back(WriteChunk* chunk) noexcept;

 private:
  struct Shelf {
    WriteChunk* first = nullptr;
    std::uint32_t count = 0;
  };
  Shelf small_;
  Shelf large_;
};

/// Not thread safe. The pool outlives it.
class WriteQueue {
 public:
  /// `format` is what append_small frames its messages in.
  WriteQueue(WriteChunkPool& pool, FrameFormat format) noexcept : pool_(pool), format_(format) {}
  WriteQueue(const WriteQueue&) = delete;
  WriteQueue& operator=(const WriteQueue&) = delete;
  ~WriteQueue() { clear(); }

  std::size_t size() const noexcept { return size_ + static_cast<std::size_t>(at_ - window_); }
  bool empty() const noexcept { return size() == 0; }

  /// Copies the pieces of one message to the end. Throws std::bad_alloc, and then nothing was queued.
  void append(ConstBytes header, ConstBytes payload, ConstBytes padding) {
    close_window();
    const std::size_t size = header.size() + payload.size() + padding.size();
    if (last_ == nullptr || last_->room() < size) return append_slowly({header, payload, padding}, size);
    copy(header);
    copy(payload);
    copy(padding);
  }

  /// As append(), but refers to the payload, which is not empty, and keeps its owner until the last of it is consumed.
  void append_shared(ConstBytes header, const SharedBytes& payload, ConstBytes padding);

  /// Lets append_small() fill memory that is there, as long as less than `limit` bytes are queued. Until
  /// close_window(), which every other change of the queue implies.
  void open_window(std::size_t limit) noexcept {
    close_window();
    if (last_ == nullptr || size_ >= limit) return;
    window_ = at_ = last_->own() + last_->end;
    window_end_ = at_ + std::min(last_->room(), limit - 1 - size_);
  }
  void close_window() noexcept {
    if (window_ == nullptr) return;
    const auto added = static_cast<std::size_t>(at_ - window_);
    last_->end += added;
    size_ += added;
    window_ = at_ = window_end_ = nullptr;
  }
  /// The common case of append() and of all that is to be thought of before it: a message of at most 2 KiB, framed,
  /// into the window. False: it does not fit, and nothing was done.
  bool append_small(ConstBytes payload) noexcept {
    constexpr std::size_t limit = 2048;
    if (payload.size() > limit) return false;
    const bool aligned = format_ == FrameFormat::aligned;
    const std::size_t size = short_frame_size(format_, payload.size());
    std::byte* const to = at_;
    if (size > static_cast<std::size_t>(window_end_ - to)) return false;
    at_ = to + size;
    if (aligned) {
      store_aligned_header(to, payload.size());
      copy_small(to + aligned_header_bytes, payload);
    } else {
      store_big_endian_32(to, static_cast<std::uint32_t>(payload.size()));
      copy_small(to + python_header_bytes, payload);
    }
    return true;
  }

  /// Points `pieces` at the oldest bytes, at most `limit` of them; returns how many pieces were filled.
  std::uint32_t gather(std::span<ferry_iovec> pieces, std::size_t limit = SIZE_MAX) noexcept;
  /// Drops the oldest `size` bytes.
  void consume(std::size_t size) noexcept;
  void clear() noexcept { consume(size()); }

 private:
  void link(WriteChunk* chunk) noexcept;
  void append_slowly(std::initializer_list<ConstBytes> pieces, std::size_t size);
  void copy(ConstBytes bytes) noexcept {
    if (bytes.empty()) return;
    std::memcpy(last_->own() + last_->end, bytes.data(), bytes.size());
    last_->end += bytes.size();
    size_ += bytes.size();
  }

  /// Whole blocks and one that overlaps the last: the compiler makes each a register's load and store, where memcpy of
  /// an unknown size would cost a call as long as the rest of a send.
  static void copy_small(std::byte* to, ConstBytes bytes) noexcept {
    constexpr std::size_t block = 16;
    const std::size_t size = bytes.size();
    if (size < block) {
      for (std::size_t i = 0; i < size; ++i) to[i] = bytes[i];
      return;
    }
    for (std::size_t at = 0; at + block < size; at += block) std::memcpy(to + at, bytes.data() + at, block);
    std::memcpy(to + size - block, bytes.data() + size - block, block);
  }

  WriteChunkPool& pool_;
  FrameFormat format_;
  WriteChunk* first_ = nullptr;
  WriteChunk* last_ = nullptr;
  std::size_t size_ = 0;  // without what is in the window
  // In the last chunk: where the window began, the end of what is in it, and its own. Null: it is closed.
  std::byte* window_ = nullptr;
  std::byte* at_ = nullptr;
  std::byte* window_end_ = nullptr;
};

}  // namespace ferry

// What a connection has queued to write: bytes in chunks, the oldest first.
//
// Small messages are copied one behind the other, so that a turn's worth of them leaves in one gathered write. The
// first chunk of a queue is small and the others large: ten thousand stalled peers with a few bytes each then hold a
// page each, while a busy queue still grows by 64 KiB at a time. Rejected: one growing vector (moves what is queued)
// and one allocation per message (its cost is above that of the message).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>

#include "ferry/abi.h"
#include "ferry/connection.hpp"

namespace ferry {

/// A run of queued bytes [begin, end); `capacity` bytes of memory follow the header.
struct WriteChunk {
  WriteChunk* next;
  std::uint32_t begin;
  std::uint32_t end;
  std::uint32_t capacity;
  std::byte* bytes() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
  std::uint32_t room() const noexcept { return capacity - end; }
};

/// Keeps a few empty chunks for the next turn. One per reactor; not thread safe.
class WriteChunkPool {
 public:
  static constexpr std::uint32_t small_bytes = (4u << 10) - sizeof(WriteChunk);
  static constexpr std::uint32_t large_bytes = 64u << 10;
  static constexpr std::uint32_t kept_small = 64;
  static constexpr std::uint32_t kept_large = 16;

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
  explicit WriteQueue(WriteChunkPool& pool) noexcept : pool_(pool) {}
  WriteQueue(const WriteQueue&) = delete;
  WriteQueue& operator=(const WriteQueue&) = delete;
  ~WriteQueue() { clear(); }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  /// Copies the pieces of one message to the end. Throws std::bad_alloc, and then nothing was queued.
  void append(ConstBytes header, ConstBytes payload, ConstBytes padding) {
    const std::size_t size = header.size() + payload.size() + padding.size();
    if (last_ == nullptr || last_->room() < size) return append_slowly({header, payload, padding}, size);
    copy(header);
    copy(payload);
    copy(padding);
  }

  /// Points `pieces` at the oldest bytes, at most `limit` of them; returns how many pieces were filled.
  std::uint32_t gather(std::span<ferry_iovec> pieces, std::size_t limit = SIZE_MAX) const noexcept;
  /// Drops the oldest `size` bytes.
  void consume(std::size_t size) noexcept;
  void clear() noexcept { consume(size_); }

 private:
  void append_slowly(std::initializer_list<ConstBytes> pieces, std::size_t size);
  void copy(ConstBytes bytes) noexcept {
    if (bytes.empty()) return;
    std::memcpy(last_->bytes() + last_->end, bytes.data(), bytes.size());
    last_->end += static_cast<std::uint32_t>(bytes.size());
    size_ += bytes.size();
  }

  WriteChunkPool& pool_;
  WriteChunk* first_ = nullptr;
  WriteChunk* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace ferry

// Bytes between one producer and one consumer thread, in chunks that do not move.
//
// Chunks that do not move are what retransmission needs: ngtcp2 keeps pointers to stream data until the peer has
// acknowledged it. A ring of the window's size was rejected: an idle connection that once moved a lot would keep all of
// its pages, while a drained queue keeps one chunk, and a spare one that spares the pool's lock.
//
// Positions count bytes from the queue's beginning. The producer owns the tail, the consumer the head; `written` tells
// the consumer how far it may read, and links between chunks are followed only below it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

namespace ferry::quic {

struct Chunk {
  Chunk* next;
  std::uint32_t capacity;
  std::uint8_t* bytes() noexcept { return reinterpret_cast<std::uint8_t*>(this + 1); }
};

/// Chunks that nobody uses, bounded; what exceeds the bound goes back to the system. Any thread.
class ChunkPool {
 public:
  ChunkPool() noexcept = default;
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;
  ~ChunkPool();

  static constexpr std::uint32_t small_bytes = 4096 - sizeof(Chunk);
  static constexpr std::uint32_t large_bytes = 32768 - sizeof(Chunk);

  /// Throws std::bad_alloc.
  Chunk* take(bool large);
  void give(Chunk* chunk) noexcept;

 private:
  static constexpr std::size_t kept_small = 256;  // 1 MiB
  static constexpr std::size_t kept_large = 128;  // 4 MiB
  struct Free {
    Chunk* first = nullptr;
    std::size_t count = 0;
  };
  std::mutex mutex_;
  Free small_;
  Free large_;
};

class ByteQueue {
 public:
  explicit ByteQueue(ChunkPool& pool) noexcept : pool_(pool), root_{nullptr, 0} {}
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;
  ~ByteQueue();

  /// [producer] Copies the bytes in; the consumer sees them after publish(). Throws std::bad_alloc, and then has taken
  /// none or some: the position says.
  void append(const void* data, std::size_t size);
  /// [producer] Sequentially consistent, for a Wakeup that follows.
  void publish() noexcept { written_.store(tail_position_, std::memory_order_seq_cst); }
  /// [producer] Where the next byte goes.
  std::uint64_t tail() const noexcept { return tail_position_; }

  /// [consumer] Copies out and releases up to `size` bytes; returns how many.
  std::size_t read(void* data, std::size_t size) noexcept;
  /// [consumer] Gives the first `size` unreleased bytes back.
  void release(std::size_t size) noexcept;

  /// [consumer] A second place in the queue, at or after the head; it needs the queue's own chunk links.
  class Cursor {
   public:
    explicit Cursor(ByteQueue& queue) noexcept : queue_(&queue), chunk_(&queue.root_) {}
    std::uint64_t position() const noexcept { return position_; }
    /// Contiguous pieces from here on, at most `limit` bytes; returns how many pieces.
    std::size_t gather(std::span<std::span<const std::uint8_t>> pieces, std::uint64_t limit) noexcept;
    void advance(std::size_t size) noexcept;

   private:
    ByteQueue* queue_;
    Chunk* chunk_;
    std::uint32_t at_ = 0;
    std::uint64_t position_ = 0;
  };

  /// What was published and what was released; any thread.
  std::uint64_t written() const noexcept { return written_.load(std::memory_order_seq_cst); }
  std::uint64_t released() const noexcept { return released_.load(std::memory_order_seq_cst); }

 private:
  Chunk* new_chunk(std::size_t wanted);
  void retire(Chunk* chunk) noexcept;

  ChunkPool& pool_;
  Chunk root_;                          // before the first chunk; holds nothing
  std::atomic<Chunk*> spare_{nullptr};  // the last chunk that the consumer finished with

  alignas(64) Chunk* tail_ = &root_;  // the producer's
  std::uint32_t tail_used_ = 0;
  std::uint64_t tail_position_ = 0;
  std::atomic<std::uint64_t> written_{0};

  alignas(64) Chunk* head_ = &root_;  // the consumer's
  std::uint32_t head_used_ = 0;
  std::atomic<std::uint64_t> released_{0};
};

}  // namespace ferry::quic

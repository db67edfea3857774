#include "quic_queue.hpp"

#include <algorithm>
#include <cstring>
#include <new>

namespace ferry::quic {

ChunkPool::~ChunkPool() {
  for (Free* list : {&small_, &large_}) {
    while (list->first != nullptr) {
      Chunk* const chunk = list->first;
      list->first = chunk->next;
      ::operator delete(chunk);
    }
  }
}

Chunk* ChunkPool::take(bool large) {
  const std::uint32_t capacity = large ? large_bytes : small_bytes;
  {
    const std::scoped_lock lock(mutex_);
    Free& list = large ? large_ : small_;
    if (list.first != nullptr) {
      Chunk* const chunk = list.first;
      list.first = chunk->next;
      --list.count;
      chunk->next = nullptr;
      return chunk;
    }
  }
  return new (::operator new(sizeof(Chunk) + capacity)) Chunk{nullptr, capacity};
}

void ChunkPool::give(Chunk* chunk) noexcept {
  {
    const bool large = chunk->capacity == large_bytes;
    const std::scoped_lock lock(mutex_);
    Free& list = large ? large_ : small_;
    if (list.count < (large ? kept_large : kept_small)) {
      chunk->next = list.first;
      list.first = chunk;
      ++list.count;
      return;
    }
  }
  ::operator delete(chunk);
}

ByteQueue::~ByteQueue() {
  for (Chunk* chunk = head_ == &root_ ? root_.next : head_; chunk != nullptr;) {
    Chunk* const next = chunk->next;
    pool_.give(chunk);
    chunk = next;
  }
  if (Chunk* const spare = spare_.load(std::memory_order_relaxed); spare != nullptr) pool_.give(spare);
}

/// A small chunk where few bytes come to an empty queue, as of a connection that exchanges messages; else a large one.
Chunk* ByteQueue::new_chunk(std::size_t wanted) {
  const bool large = wanted > ChunkPool::small_bytes || tail_position_ - released() > ChunkPool::small_bytes;
  Chunk* const spare = spare_.exchange(nullptr, std::memory_order_acquire);  // pairs with retire
  if (spare != nullptr) {
    if (!large || spare->capacity == ChunkPool::large_bytes) return spare;
    pool_.give(spare);
  }
  return pool_.take(large);
}

void ByteQueue::retire(Chunk* chunk) noexcept {
  chunk->next = nullptr;
  Chunk* const other = spare_.exchange(chunk, std::memory_order_acq_rel);  // pairs with new_chunk
  if (other != nullptr) pool_.give(other);
}

void ByteQueue::append(const void* data, std::size_t size) {
  const auto* from = static_cast<const std::uint8_t*>(data);
  while (size > 0) {
    if (tail_used_ == tail_->capacity) {
      Chunk* const chunk = new_chunk(size);
      tail_->next = chunk;
      tail_ = chunk;
      tail_used_ = 0;
    }
    const std::size_t piece = std::min<std::size_t>(size, tail_->capacity - tail_used_);
    std::memcpy(tail_->bytes() + tail_used_, from, piece);
    tail_used_ += static_cast<std::uint32_t>(piece);
    tail_position_ += piece;
    from += piece;
    size -= piece;
  }
}

std::size_t ByteQueue::read(void* data, std::size_t size) noexcept {
  auto* to = static_cast<std::uint8_t*>(data);
  const std::uint64_t start = released_.load(std::memory_order_relaxed);
  const auto available = static_cast<std::size_t>(std::min<std::uint64_t>(size, written() - start));
  for (std::size_t left = available; left > 0;) {
    if (head_used_ == head_->capacity) {
      Chunk* const done = head_;
      head_ = done->next;
      head_used_ = 0;
      if (done != &root_) retire(done);
    }
    const std::size_t piece = std::min<std::size_t>(left, head_->capacity - head_used_);
    std::memcpy(to, head_->bytes() + head_used_, piece);
    head_used_ += static_cast<std::uint32_t>(piece);
    to += piece;
    left -= piece;
  }
  if (available > 0) released_.store(start + available, std::memory_order_seq_cst);
  return available;
}

void ByteQueue::release(std::size_t size) noexcept {
  const std::uint64_t start = released_.load(std::memory_order_relaxed);
  for (std::size_t left = size; left > 0;) {
    if (head_used_ == head_->capacity) {
      Chunk* const done = head_;
      head_ = done->next;
      head_used_ = 0;
      if (done != &root_) retire(done);
    }
    const std::size_t piece = std::min<std::size_t>(left, head_->capacity - head_used_);
    head_used_ += static_cast<std::uint32_t>(piece);
    left -= piece;
  }
  released_.store(start + size, std::memory_order_seq_cst);
}

std::size_t ByteQueue::Cursor::gather(std::span<std::span<const std::uint8_t>> pieces, std::uint64_t limit) noexcept {
  std::uint64_t left = std::min(limit, queue_->written() - position_);
  Chunk* chunk = chunk_;
  std::uint32_t at = at_;
  std::size_t count = 0;
  while (left > 0 && count < pieces.size()) {
    if (at == chunk->capacity) {
      chunk = chunk->next;
      at = 0;
    }
    const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(left, chunk->capacity - at));
    pieces[count++] = {chunk->bytes() + at, piece};
    at += static_cast<std::uint32_t>(piece);
    left -= piece;
  }
  return count;
}

void ByteQueue::Cursor::advance(std::size_t size) noexcept {
  position_ += size;
  while (size > 0) {
    if (at_ == chunk_->capacity) {
      chunk_ = chunk_->next;
      at_ = 0;
    }
    const std::size_t piece = std::min<std::size_t>(size, chunk_->capacity - at_);
    at_ += static_cast<std::uint32_t>(piece);
    size -= piece;
  }
}

}  // namespace ferry::quic

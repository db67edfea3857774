#include "reactor_queue.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace ferry {

WriteChunkPool::~WriteChunkPool() {
  for (Shelf* shelf : {&small_, &large_}) {
    while (shelf->first != nullptr) ::operator delete(std::exchange(shelf->first, shelf->first->next));
  }
}

WriteChunk* WriteChunkPool::take(bool large) {
  Shelf& shelf = large ? large_ : small_;
  if (shelf.first != nullptr) {
    --shelf.count;
    WriteChunk* const chunk = std::exchange(shelf.first, shelf.first->next);
    *chunk = {nullptr, 0, 0, chunk->capacity};
    return chunk;
  }
  const std::uint32_t capacity = large ? large_bytes : small_bytes;
  return new (::operator new(sizeof(WriteChunk) + capacity)) WriteChunk{nullptr, 0, 0, capacity};
}

void WriteChunkPool::give_back(WriteChunk* chunk) noexcept {
  const bool large = chunk->capacity == large_bytes;
  Shelf& shelf = large ? large_ : small_;
  if (shelf.count == (large ? kept_large : kept_small)) return ::operator delete(chunk);
  ++shelf.count;
  chunk->next = std::exchange(shelf.first, chunk);
}

void WriteQueue::append_slowly(std::initializer_list<ConstBytes> pieces, std::size_t size) {
  // All memory before the first byte: a message is queued whole or not at all.
  std::size_t room = last_ == nullptr ? 0 : last_->room();
  WriteChunk* added = nullptr;
  WriteChunk** link = &added;
  try {
    while (room < size) {
      *link = pool_.take(last_ != nullptr || added != nullptr || size > WriteChunkPool::small_bytes);
      room += (*link)->capacity;
      link = &(*link)->next;
    }
  } catch (...) {
    while (added != nullptr) pool_.give_back(std::exchange(added, added->next));
    throw;
  }
  if (last_ == nullptr) {
    first_ = last_ = added;
  } else {
    last_->next = added;
  }
  for (ConstBytes rest : pieces) {
    while (!rest.empty()) {
      if (last_->room() == 0) last_ = last_->next;
      const std::size_t part = std::min<std::size_t>(rest.size(), last_->room());
      copy(rest.first(part));
      rest = rest.subspan(part);
    }
  }
}

std::uint32_t WriteQueue::gather(std::span<ferry_iovec> pieces, std::size_t limit) const noexcept {
  std::uint32_t count = 0;
  for (WriteChunk* chunk = first_; chunk != nullptr && count < pieces.size() && limit > 0; chunk = chunk->next) {
    const std::size_t size = std::min<std::size_t>(chunk->end - chunk->begin, limit);
    if (size == 0) continue;
    pieces[count++] = {chunk->bytes() + chunk->begin, size};
    limit -= size;
  }
  return count;
}

void WriteQueue::consume(std::size_t size) noexcept {
  size_ -= size;
  while (first_ != nullptr) {
    const std::size_t part = std::min<std::size_t>(size, first_->end - first_->begin);
    first_->begin += static_cast<std::uint32_t>(part);
    size -= part;
    if (first_->begin < first_->end) return;
    pool_.give_back(std::exchange(first_, first_->next));
  }
  last_ = nullptr;
}

}  // namespace ferry

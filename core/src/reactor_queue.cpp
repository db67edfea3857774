#include "reactor_queue.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace ferry {

namespace {

WriteChunk* make_chunk(std::size_t capacity) {
  auto* const chunk =
      new (::operator new(sizeof(WriteChunk) + capacity)) WriteChunk{nullptr, nullptr, 0, 0, capacity, {}};
  chunk->data = chunk->own();
  return chunk;
}

void destroy(WriteChunk* chunk) noexcept {
  chunk->~WriteChunk();
  ::operator delete(chunk);
}

}  // namespace

WriteChunkPool::~WriteChunkPool() {
  for (Shelf* shelf : {&small_, &large_}) {
    while (shelf->first != nullptr) destroy(std::exchange(shelf->first, shelf->first->next));
  }
}

WriteChunk* WriteChunkPool::take(bool large) {
  Shelf& shelf = large ? large_ : small_;
  if (shelf.first == nullptr) return make_chunk(large ? large_bytes : small_bytes);
  --shelf.count;
  WriteChunk* const chunk = std::exchange(shelf.first, shelf.first->next);
  chunk->next = nullptr;
  chunk->begin = chunk->end = 0;
  return chunk;
}

void WriteChunkPool::give_back(WriteChunk* chunk) noexcept {
  const bool large = chunk->capacity == large_bytes;
  Shelf& shelf = large ? large_ : small_;
  if (chunk->data != chunk->own() || shelf.count == (large ? kept_large : kept_small)) return destroy(chunk);
  ++shelf.count;
  chunk->next = std::exchange(shelf.first, chunk);
}

void WriteQueue::append_shared(ConstBytes header, const SharedBytes& payload, ConstBytes padding) {
  close_window();
  using Chunk = std::unique_ptr<WriteChunk, decltype(&destroy)>;
  Chunk shared(make_chunk(0), destroy);
  Chunk after(padding.empty() ? nullptr : pool_.take(false), destroy);
  if (!header.empty()) append(header, {}, {});
  shared->data = payload.bytes.data();
  shared->end = shared->capacity = payload.bytes.size();
  shared->owner = payload.owner;
  size_ += payload.bytes.size();
  link(shared.release());
  if (after == nullptr) return;
  link(after.release());
  copy(padding);
}

void WriteQueue::link(WriteChunk* chunk) noexcept {
  (last_ == nullptr ? first_ : last_->next) = chunk;
  last_ = chunk;
}

void WriteQueue::append_slowly(std::initializer_list<ConstBytes> pieces, std::size_t size) {
  // All memory before the first byte: a message is queued whole or not at all.
  std::size_t room = last_ == nullptr ? 0 : last_->room();
  WriteChunk* added = nullptr;
  WriteChunk** end = &added;
  bool large = size > WriteChunkPool::small_bytes || (last_ != nullptr && last_->data == last_->own());
  try {
    while (room < size) {
      *end = pool_.take(std::exchange(large, true));
      room += (*end)->capacity;
      end = &(*end)->next;
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

std::uint32_t WriteQueue::gather(std::span<ferry_iovec> pieces, std::size_t limit) noexcept {
  close_window();
  std::uint32_t count = 0;
  for (WriteChunk* chunk = first_; chunk != nullptr && count < pieces.size() && limit > 0; chunk = chunk->next) {
    const std::size_t size = std::min<std::size_t>(chunk->end - chunk->begin, limit);
    if (size == 0) continue;
    pieces[count++] = {chunk->data + chunk->begin, size};
    limit -= size;
  }
  return count;
}

void WriteQueue::consume(std::size_t size) noexcept {
  close_window();
  size_ -= size;
  while (first_ != nullptr) {
    const std::size_t part = std::min<std::size_t>(size, first_->end - first_->begin);
    first_->begin += part;
    size -= part;
    if (first_->begin < first_->end) return;
    pool_.give_back(std::exchange(first_, first_->next));
  }
  last_ = nullptr;
}

}  // namespace ferry

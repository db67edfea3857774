// peek, consume, reserve and commit where the transport does not lend: emulated with one copy.
//
// The emulation's memory is the thread's spare buffer (spare_buffer.hpp) where that is large enough. A reader holds it
// only while unread bytes are in it, a writer only between reserve and commit.
#include <algorithm>
#include <cstring>
#include <utility>

#include "ferry/connection.hpp"
#include "spare_buffer.hpp"

namespace ferry {

namespace {

std::pair<Memory, std::size_t> take_memory(std::size_t size) {
  if (size <= spare_buffer_bytes) return {take_spare_buffer(), spare_buffer_bytes};
  return {allocate_memory(size), size};
}

}  // namespace

void Connection::LentBuffer::release() noexcept {
  LentBuffer given = std::exchange(*this, {});
  if (given.capacity == spare_buffer_bytes) give_spare_buffer(std::move(given.memory));
}

void Connection::consume_emulated(std::size_t size) noexcept {
  peeked_.begin += size;
  if (peeked_.begin == peeked_.end) peeked_.release();
}

IoResult Connection::read_peeked(MutableBytes into) noexcept {
  const std::size_t have = peeked_.end - peeked_.begin;
  if (kind_ == FERRY_RECORDS && have > into.size()) return {Status::too_large, 0};
  const std::size_t size = std::min(have, into.size());
  std::memcpy(into.data(), peeked_.memory.get() + peeked_.begin, size);
  consume(size);
  return {Status::ok, size};
}

ferry_status Connection::peek_emulated(std::size_t minimum, const void*& data, std::uint64_t& size,
                                       std::int64_t deadline_ns) {
  const bool records = kind_ == FERRY_RECORDS;
  const std::size_t wanted = records ? std::min<std::size_t>(max_record_, max_lent) : minimum;
  if (wanted > max_lent) return FERRY_TOO_LARGE;
  ferry_status status = FERRY_OK;
  while (peeked_.end - peeked_.begin < (records ? 1 : minimum)) {
    if (peeked_.begin + wanted > peeked_.capacity) {
      auto [memory, capacity] = take_memory(wanted);
      const std::size_t have = peeked_.end - peeked_.begin;
      if (have > 0) std::memcpy(memory.get(), peeked_.memory.get() + peeked_.begin, have);
      peeked_.release();
      peeked_ = {std::move(memory), capacity, 0, have};
    }
    const std::int64_t count =
        read_once(peeked_.memory.get() + peeked_.end, peeked_.capacity - peeked_.end, deadline_ns);
    if (count < 0) {
      status = static_cast<ferry_status>(count);
      break;
    }
    peeked_.end += static_cast<std::size_t>(count);
    if (records) break;
  }
  size = peeked_.end - peeked_.begin;
  if (status == FERRY_OK) {
    data = peeked_.memory.get() + peeked_.begin;
  } else if (size == 0) {
    peeked_.release();
  }
  return status;
}

Status Connection::reserve_emulated(MutableBytes& view, std::size_t minimum) {
  if (minimum > max_lent) return Status::too_large;
  if (minimum > reserved_.capacity || reserved_.memory == nullptr) {
    auto [memory, capacity] = take_memory(minimum);
    reserved_ = {std::move(memory), capacity, 0, 0};
  }
  view = {reserved_.memory.get(), reserved_.capacity};
  return Status::ok;
}

Status Connection::commit_emulated(std::size_t size, Deadline deadline) {
  const IoResult result = size == 0 ? IoResult{} : write(ConstBytes(reserved_.memory.get(), size), deadline);
  reserved_.release();
  return result.status;
}

}  // namespace ferry

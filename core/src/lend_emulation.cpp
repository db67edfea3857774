// peek, consume, reserve and commit: passed to a transport that lends, else emulated with one copy.
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

Status Connection::peek(ConstBytes& view, std::size_t minimum, Deadline deadline) {
  if (lend_ == nullptr) return peek_emulated(view, minimum, deadline);
  const void* data = nullptr;
  std::uint64_t size = 0;
  const auto attempt = [&](std::int64_t deadline_ns) { return lend_->peek(raw_, minimum, &data, &size, deadline_ns); };
  ferry_status status = FERRY_WOULD_BLOCK;
  if (deadline.ns() == FERRY_NO_WAIT || read_wait_.sleeps_at_once()) {
    status = attempt(deadline.ns());
  } else {
    const auto try_now = [&] { return (status = attempt(FERRY_NO_WAIT)) != FERRY_WOULD_BLOCK; };
    if (!try_now() && !read_wait_.spin(deadline.ns(), try_now)) status = attempt(deadline.ns());
  }
  if (status == FERRY_OK) view = {static_cast<const std::byte*>(data), size};
  return static_cast<Status>(status);
}

void Connection::consume(std::size_t size) noexcept {
  if (lend_ != nullptr) return lend_->consume(raw_, size);
  peeked_.begin += size;
  if (peeked_.begin == peeked_.end) peeked_.release();
}

Status Connection::reserve(MutableBytes& view, std::size_t minimum, Deadline deadline) {
  if (lend_ == nullptr) return reserve_emulated(view, minimum);
  void* data = nullptr;
  std::uint64_t size = 0;
  const auto attempt = [&](std::int64_t deadline_ns) {
    return lend_->reserve(raw_, minimum, &data, &size, deadline_ns);
  };
  ferry_status status = FERRY_WOULD_BLOCK;
  if (deadline.ns() == FERRY_NO_WAIT || write_wait_.sleeps_at_once()) {
    status = attempt(deadline.ns());
  } else {
    const auto try_now = [&] { return (status = attempt(FERRY_NO_WAIT)) != FERRY_WOULD_BLOCK; };
    if (!try_now() && !write_wait_.spin(deadline.ns(), try_now)) status = attempt(deadline.ns());
  }
  if (status == FERRY_OK) view = {static_cast<std::byte*>(data), size};
  return static_cast<Status>(status);
}

Status Connection::commit(std::size_t size, Deadline deadline) {
  if (lend_ == nullptr) return commit_emulated(size, deadline);
  return static_cast<Status>(lend_->commit(raw_, size, 0));
}

IoResult Connection::read_peeked(MutableBytes into) noexcept {
  const std::size_t have = peeked_.end - peeked_.begin;
  if (kind_ == FERRY_RECORDS && have > into.size()) return {Status::too_large, 0};
  const std::size_t size = std::min(have, into.size());
  std::memcpy(into.data(), peeked_.memory.get() + peeked_.begin, size);
  consume(size);
  return {Status::ok, size};
}

Status Connection::peek_emulated(ConstBytes& view, std::size_t minimum, Deadline deadline) {
  const bool records = kind_ == FERRY_RECORDS;
  const std::size_t wanted = records ? std::min<std::size_t>(max_record_, max_lent) : minimum;
  if (wanted > max_lent) return Status::too_large;
  Status status = Status::ok;
  while (peeked_.end - peeked_.begin < (records ? 1 : minimum)) {
    if (peeked_.begin + wanted > peeked_.capacity) {
      auto [memory, capacity] = take_memory(wanted);
      const std::size_t have = peeked_.end - peeked_.begin;
      if (have > 0) std::memcpy(memory.get(), peeked_.memory.get() + peeked_.begin, have);
      peeked_.release();
      peeked_ = {std::move(memory), capacity, 0, have};
    }
    const std::int64_t count =
        read_once(peeked_.memory.get() + peeked_.end, peeked_.capacity - peeked_.end, deadline.ns());
    if (count < 0) {
      status = static_cast<Status>(count);
      break;
    }
    peeked_.end += static_cast<std::size_t>(count);
    if (records) break;
  }
  if (status == Status::ok)
    view = {peeked_.memory.get() + peeked_.begin, peeked_.end - peeked_.begin};
  else if (peeked_.begin == peeked_.end)
    peeked_.release();
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

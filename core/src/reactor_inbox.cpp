#include "reactor_inbox.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ferry {

void Inbox::keep(ConstBytes bytes) {
  if (bytes.empty()) return;
  reserve(end_ - begin_ + bytes.size(), SIZE_MAX);
  std::memcpy(memory_.get() + end_, bytes.data(), bytes.size());
  end_ += bytes.size();
}

void Inbox::reserve(std::size_t total, std::size_t at_most) {
  const std::size_t size = end_ - begin_;
  if (total <= capacity_) {
    if (begin_ + total > capacity_) {
      std::memmove(memory_.get(), memory_.get() + begin_, size);
      begin_ = 0;
      end_ = size;
    }
    return;
  }
  SpareBlock grown;
  if (total > direct_bytes && total <= spare_.capacity) {
    grown = std::exchange(spare_, {});
  } else {
    grown.capacity = std::max(total, std::min(2 * size, at_most));
    grown.memory = std::make_unique_for_overwrite<std::byte[]>(grown.capacity);
  }
  if (size > 0) std::memcpy(grown.memory.get(), memory_.get() + begin_, size);
  memory_ = std::move(grown.memory);
  capacity_ = grown.capacity;
  begin_ = 0;
  end_ = size;
}

void Inbox::drop(std::size_t size) noexcept {
  begin_ += size;
  if (begin_ < end_) return;
  if (capacity_ > spare_.capacity && capacity_ > direct_bytes && capacity_ <= SpareBlock::limit_bytes) {
    spare_ = {std::move(memory_), capacity_};
  }
  memory_.reset();
  capacity_ = begin_ = end_ = 0;
}

MutableBytes Inbox::spare() {
  const std::size_t size = end_ - begin_;
  if (size < direct_bytes) return {};
  FrameHead head;
  if (read_frame_head(format_, kept(), max_message_, head) != Status::ok) return {};
  if (head.total < size + direct_bytes) return {};
  const auto total = static_cast<std::size_t>(head.total);
  reserve(std::min(total, std::max(size + direct_bytes, capacity_)), total);
  return {memory_.get() + end_, std::min(capacity_ - end_, total - size)};
}

}  // namespace ferry

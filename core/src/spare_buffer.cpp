#include "spare_buffer.hpp"

#include <utility>

namespace ferry {

namespace {
thread_local std::unique_ptr<std::byte[]> spare;
}

std::unique_ptr<std::byte[]> take_spare_buffer() {
  if (spare != nullptr) return std::move(spare);
  return std::unique_ptr<std::byte[]>(new std::byte[spare_buffer_bytes]);
}

void give_spare_buffer(std::unique_ptr<std::byte[]> buffer) noexcept {
  if (spare == nullptr) spare = std::move(buffer);
}

}  // namespace ferry

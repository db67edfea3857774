#include "spare_buffer.hpp"

#include <cstdlib>
#include <new>
#include <utility>

namespace ferry {

namespace {
thread_local Memory spare;
}

void FreeMemory::operator()(std::byte* memory) const noexcept { std::free(memory); }

Memory allocate_memory(std::size_t size) {
  Memory memory(static_cast<std::byte*>(std::malloc(size)));
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

Memory take_spare_buffer() { return spare != nullptr ? std::move(spare) : allocate_memory(spare_buffer_bytes); }

void give_spare_buffer(Memory buffer) noexcept {
  if (spare == nullptr) spare = std::move(buffer);
}

}  // namespace ferry

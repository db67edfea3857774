#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ring_machine.hpp"
#include "ring_test_system.hpp"

namespace ferry::shm_spsc {

const std::size_t smallest_capacity = 4096;

TwiceMapped::TwiceMapped(std::size_t size) : size_(size) {
  const int file = ::memfd_create("ring", MFD_CLOEXEC);
  REQUIRE(file >= 0);
  REQUIRE(::ftruncate(file, static_cast<off_t>(size)) == 0);
  void* const both = ::mmap(nullptr, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(both != MAP_FAILED);
  data_ = static_cast<std::byte*>(both);
  for (std::byte* half : {data_, data_ + size})
    REQUIRE(::mmap(half, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) == half);
  ::close(file);
}

TwiceMapped::~TwiceMapped() { ::munmap(data_, 2 * size_); }

bool can_fence_own_threads() noexcept { return register_for_barriers(); }

Bed::Bed() = default;
Bed::~Bed() = default;
void Bed::sleep(const std::atomic<std::uint32_t>& word, std::uint32_t value) { word.wait(value); }
void Bed::wake(std::atomic<std::uint32_t>& word) { word.notify_one(); }

}  // namespace ferry::shm_spsc

// Counts the heap allocations of the whole process, the plugin's in C and C++ alike, by standing before glibc's malloc.
// Linked into the suite's own program only: a shipped `ferry` should not pay for it. Sanitizers bring a malloc of their
// own, so this file is not in their builds, which leaves the count absent and its test skipped.
#include <cstdlib>  // defines __GLIBC__

#ifdef __GLIBC__

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "usage.hpp"

namespace {
std::atomic<std::uint64_t> allocations{0};
}

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);

void* malloc(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return __libc_realloc(old, size);
}
}

namespace {
[[maybe_unused]] const bool installed = [] {
  ferry::conformance::count_allocations = [] { return allocations.load(std::memory_order_relaxed); };
  return true;
}();
}  // namespace

#endif

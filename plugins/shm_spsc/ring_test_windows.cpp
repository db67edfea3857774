#include <doctest/doctest.h>
#include <windows.h>

#include "ring_test_system.hpp"

namespace ferry::shm_spsc {

const std::size_t smallest_capacity = 64u << 10;

/// By trial, as Segment does.
TwiceMapped::TwiceMapped(std::size_t size) : size_(size) {
  HANDLE const section =
      ::CreateFileMappingW(INVALID_HANDLE_VALUE, nullptr, PAGE_READWRITE, 0, static_cast<DWORD>(size), nullptr);
  REQUIRE(section != nullptr);
  for (int attempt = 0; attempt < 64 && data_ == nullptr; ++attempt) {
    void* const place = ::VirtualAlloc(nullptr, 2 * size, MEM_RESERVE, PAGE_NOACCESS);
    REQUIRE(place != nullptr);
    ::VirtualFree(place, 0, MEM_RELEASE);
    void* const first = ::MapViewOfFileEx(section, FILE_MAP_WRITE, 0, 0, size, place);
    if (first == nullptr) continue;
    if (::MapViewOfFileEx(section, FILE_MAP_WRITE, 0, 0, size, static_cast<std::byte*>(first) + size) != nullptr) {
      data_ = static_cast<std::byte*>(first);
    } else {
      ::UnmapViewOfFile(first);
    }
  }
  ::CloseHandle(section);
  REQUIRE(data_ != nullptr);
}

TwiceMapped::~TwiceMapped() {
  ::UnmapViewOfFile(data_);
  ::UnmapViewOfFile(data_ + size_);
}

bool can_fence_own_threads() noexcept { return true; }  // though not those of another process

Bed::Bed() : event_(::CreateEventW(nullptr, FALSE, FALSE, nullptr)) {}
Bed::~Bed() { ::CloseHandle(event_); }
void Bed::sleep(const std::atomic<std::uint32_t>&, std::uint32_t) { ::WaitForSingleObject(event_, INFINITE); }
void Bed::wake(std::atomic<std::uint32_t>&) { ::SetEvent(event_); }

}  // namespace ferry::shm_spsc

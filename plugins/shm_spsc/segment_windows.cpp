// Windows frees addresses only as a whole reservation, so the rings' places are found by reserving, releasing and
// mapping; whoever takes one of them in between makes it start over. Its newer placeholders (MapViewOfFile3) would save
// that, and are left out because nothing here can run them: Wine 8 has none. There are no guard pages, for the same
// reason.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "ferry/plugin.hpp"
#include "ferry/sdk/os_error.hpp"
#include "segment.hpp"

// after windows.h
#include <psapi.h>

namespace ferry::shm_spsc {
namespace {

using plugin::Failure;

constexpr int map_attempts = 64;

std::uint64_t system_page() noexcept {
  SYSTEM_INFO info;
  ::GetSystemInfo(&info);
  return info.dwPageSize;
}

[[noreturn]] void distrust(const std::string& why) {
  throw Failure(FERRY_PROTOCOL, "the listener handed over memory that is not safe to map: " + why);
}

/// The size of a section cannot change once it is made, nor can its pages go, which only memory that is reserved and
/// not committed lacks, and a file's when the file cannot be read any more.
std::uint64_t size_of(HANDLE section) {
  void* const all = ::MapViewOfFile(section, FILE_MAP_READ, 0, 0, 0);
  if (all == nullptr) throw plugin::os_failure(static_cast<int>(::GetLastError()), "mapping shared memory");
  MEMORY_BASIC_INFORMATION region{};
  ::VirtualQuery(all, &region, sizeof(region));
  std::array<wchar_t, MAX_PATH> file;
  const bool is_file = ::GetMappedFileNameW(::GetCurrentProcess(), all, file.data(), file.size()) != 0 ||
                       ::GetLastError() == ERROR_INSUFFICIENT_BUFFER || ::GetLastError() == ERROR_MORE_DATA;
  ::UnmapViewOfFile(all);
  if (region.State != MEM_COMMIT || region.Type != MEM_MAPPED) distrust("it is not committed");
  if (is_file) distrust("it is a file");
  return region.RegionSize;
}

DWORD low(std::uint64_t value) noexcept { return static_cast<DWORD>(value & 0xffff'ffff); }
DWORD high(std::uint64_t value) noexcept { return static_cast<DWORD>(value >> 32); }

void touch(const std::byte* at, std::uint64_t size, std::uint64_t page) noexcept {
  for (std::uint64_t offset = 0; offset < size; offset += page) {
    static_cast<void>(*static_cast<const volatile std::byte*>(at + offset));
  }
}

}  // namespace

Segment::Segment(Side side, std::uint64_t ring, std::uint64_t size, std::uint64_t /*page*/) noexcept
    : side_(side), ring_(ring), size_(size), guard_(0) {}

Segment Segment::create(std::uint64_t ring, const PageOptions& wanted, Memory& memory) {
  const std::uint64_t size = segment_bytes(ring, system_page());
  SECURITY_ATTRIBUTES attributes{};
  if (memory.security != nullptr) attributes = memory.security->attributes();
  // Committed at once: running out of memory is an error here and no exception later.
  memory.handle.reset(::CreateFileMappingW(INVALID_HANDLE_VALUE, memory.security == nullptr ? nullptr : &attributes,
                                           PAGE_READWRITE | SEC_COMMIT, high(size), low(size),
                                           memory.name.empty() ? nullptr : memory.name.c_str()));
  if (!memory.handle) {
    const auto error = static_cast<int>(::GetLastError());
    throw Failure(FERRY_NO_RESOURCES,
                  "no memory for the connection's " + std::to_string(size >> 10) + " KiB of shared memory (" +
                      plugin::os_text(error) + "); free some, or lower option ring",
                  error);
  }
  Segment segment(Side::listener, ring, size, system_page());
  segment.map(memory);
  segment.apply(wanted);
  return segment;
}

Segment Segment::open(Memory memory, const Offer& offer, const PageOptions& wanted) {
  const std::uint64_t size = size_of(memory.handle.get());
  if (size != offer.segment) {
    distrust("it has " + std::to_string(size) + " bytes and not the " + std::to_string(offer.segment) +
             " that were offered");
  }
  Segment segment(Side::client, offer.ring, offer.segment, system_page());
  segment.map(memory);
  segment.apply(wanted);
  return segment;
}

Segment::~Segment() {
  if (base_ == nullptr) return;
  for (unsigned index = 0; index < 2; ++index) {
    ::UnmapViewOfFile(bytes_of(index));
    ::UnmapViewOfFile(bytes_of(index) + ring_);
  }
  ::UnmapViewOfFile(controls_at());
}

void Segment::map(const Memory& memory) {
  struct View {
    std::uint64_t offset;  // in the section
    std::uint64_t size;
    DWORD access;
  };
  const DWORD first = side_ == Side::listener ? FILE_MAP_WRITE : FILE_MAP_READ;
  const DWORD second = side_ == Side::listener ? FILE_MAP_READ : FILE_MAP_WRITE;
  const std::array<View, 5> views{{{0, ring_, first},
                                   {0, ring_, first},
                                   {ring_, ring_, second},
                                   {ring_, ring_, second},
                                   {2 * ring_, size_ - 2 * ring_, FILE_MAP_WRITE}}};
  int error = 0;
  for (int attempt = 0; attempt < map_attempts; ++attempt) {
    void* const place = ::VirtualAlloc(nullptr, mapped_bytes(), MEM_RESERVE, PAGE_NOACCESS);
    if (place == nullptr) {
      error = static_cast<int>(::GetLastError());
      break;
    }
    ::VirtualFree(place, 0, MEM_RELEASE);
    auto* at = static_cast<std::byte*>(place);
    std::size_t mapped = 0;
    for (; mapped < views.size(); at += views[mapped++].size) {
      const View& view = views[mapped];
      if (::MapViewOfFileEx(memory.handle.get(), view.access, high(view.offset), low(view.offset), view.size, at) ==
          nullptr) {
        break;
      }
    }
    if (mapped == views.size()) {
      base_ = static_cast<std::byte*>(place);
      return;
    }
    error = static_cast<int>(::GetLastError());
    while (mapped > 0) ::UnmapViewOfFile(at -= views[--mapped].size);
    if (error != ERROR_INVALID_ADDRESS) break;
  }
  throw Failure(FERRY_NO_RESOURCES, "mapping shared memory: " + plugin::os_text(error), error);
}

/// Best effort: what could not be had is missing in `granted_`, which `ferry explain` shows.
void Segment::apply(const PageOptions& wanted) noexcept {
  if (wanted.pretouch) {
    touch(incoming_bytes(), 2 * ring_, system_page());
    touch(outgoing_bytes(), 2 * ring_, system_page());
    granted_.pretouch = true;
  }
  granted_.lock = wanted.lock && ::VirtualLock(incoming_bytes(), ring_) != FALSE &&
                  ::VirtualLock(outgoing_bytes(), ring_) != FALSE &&
                  ::VirtualLock(controls_at(), size_ - 2 * ring_) != FALSE;
}

}  // namespace ferry::shm_spsc

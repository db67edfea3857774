#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "ferry/plugin.hpp"
#include "ferry/sdk/os_error.hpp"
#include "segment.hpp"

namespace ferry::shm_spsc {
namespace {

using plugin::Failure;
using plugin::UniqueFd;

constexpr int needed_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
constexpr std::uint64_t transparent_page_bytes = std::uint64_t{2} << 20;  // x86 and 4 KiB-page arm64

// Of Linux 6.3, 5.14 and 6.1; Debian 12's headers lack some. A kernel that does not know one says EINVAL.
constexpr unsigned noexec_seal = 8;
constexpr int populate_read = 22;
constexpr int populate_write = 23;
constexpr int collapse = 25;

std::uint64_t system_page() noexcept { return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)); }

UniqueFd make_memory(unsigned flags) {
  constexpr const char* name = "ferry-shm";  // shows in /proc/<pid>/maps
  UniqueFd memory(::memfd_create(name, flags | noexec_seal));
  if (!memory && errno == EINVAL) memory = UniqueFd(::memfd_create(name, flags));
  return memory;
}

/// fallocate(2) above the limit would raise SIGXFSZ, which kills.
void check_file_size_limit(std::uint64_t size) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= size) return;
  throw Failure(FERRY_NO_RESOURCES, "the process may make files of " + std::to_string(limit.rlim_cur) +
                                        " bytes and the connection needs " + std::to_string(size) +
                                        "; raise the limit (ulimit -f) or lower option ring");
}

[[noreturn]] void no_memory(std::uint64_t size, int error) {
  throw Failure(FERRY_NO_RESOURCES,
                "no memory for the connection's " + std::to_string(size >> 10) + " KiB of shared memory (" +
                    plugin::os_text(error) + "); free some, or lower option ring",
                error);
}

void map_part(int memory, std::byte* at, std::uint64_t offset, std::uint64_t size, int protection) {
  void* const mapped = ::mmap(at, size, protection, MAP_SHARED | MAP_FIXED, memory, static_cast<off_t>(offset));
  if (mapped == MAP_FAILED) throw plugin::os_failure(errno, "mapping shared memory");
}

[[noreturn]] void distrust(const std::string& why) {
  throw Failure(FERRY_PROTOCOL, "the listener handed over memory that is not safe to map: " + why);
}

}  // namespace

// A ring's address and its place in the file must agree modulo a large page, else none could be used.
Segment::Segment(Side side, std::uint64_t ring, std::uint64_t size, std::uint64_t page) noexcept
    : side_(side),
      ring_(ring),
      size_(size),
      guard_(ring >= transparent_page_bytes ? std::max(page, transparent_page_bytes) : page) {}

Segment Segment::make(std::uint64_t ring, bool huge, Memory& memory) {
  memory = make_memory(MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB : 0u));
  if (!memory) throw plugin::os_failure(errno, "making shared memory");
  struct statfs kind {};
  if (::fstatfs(memory.get(), &kind) != 0) throw plugin::os_failure(errno);
  const std::uint64_t page = huge ? static_cast<std::uint64_t>(kind.f_bsize) : system_page();
  if (ring % page != 0) no_memory(ring, ENOMEM);  // rings smaller than a huge page
  const std::uint64_t size = segment_bytes(ring, page);
  check_file_size_limit(size);
  // Allocating also sets the size.
  if (::fallocate(memory.get(), 0, 0, static_cast<off_t>(size)) != 0) no_memory(size, errno);
  if (::fcntl(memory.get(), F_ADD_SEALS, needed_seals) != 0) throw plugin::os_failure(errno, "sealing shared memory");
  Segment segment(Side::listener, ring, size, page);
  segment.granted_.pages = huge ? Pages::huge : Pages::normal;
  segment.map(memory);
  return segment;
}

Segment Segment::create(std::uint64_t ring, const PageOptions& wanted, Memory& memory) {
  if (wanted.pages == Pages::huge) {
    try {
      Segment segment = make(ring, true, memory);
      segment.apply(wanted);
      return segment;
    } catch (const Failure&) {  // none reserved, or none free: normal pages serve, and effective() says so
    }
  }
  Segment segment = make(ring, false, memory);
  segment.apply(wanted);
  return segment;
}

Segment Segment::open(Memory memory, const Offer& offer, const PageOptions& wanted) {
  // Only memfds have seals to speak of; other files of a tmpfs say F_SEAL_SEAL alone, and all others EINVAL.
  const int seals = ::fcntl(memory.get(), F_GET_SEALS);
  if (seals < 0) distrust("it is no memfd");
  if ((seals & needed_seals) != needed_seals) distrust("it is not sealed against truncation");
  struct stat file {};
  struct statfs kind {};
  if (::fstat(memory.get(), &file) != 0 || ::fstatfs(memory.get(), &kind) != 0) throw plugin::os_failure(errno);
  if (static_cast<std::uint64_t>(file.st_size) != offer.segment) {
    distrust("it has " + std::to_string(file.st_size) + " bytes and not the " + std::to_string(offer.segment) +
             " that were offered");
  }
  const bool huge = kind.f_type == HUGETLBFS_MAGIC;
  if (huge != offer.huge || (!huge && kind.f_type != TMPFS_MAGIC)) distrust("it is of another kind than was offered");
  if (huge && wanted.pages != Pages::huge) {
    // Who holds the descriptor can give huge pages back, and touching them when the pool is empty is a SIGBUS.
    throw Failure(FERRY_UNSUPPORTED,
                  "the listener uses huge pages, with which a peer can kill this process; say "
                  "pages=huge here as well to trust it");
  }
  const std::uint64_t page = huge ? static_cast<std::uint64_t>(kind.f_bsize) : system_page();
  Segment segment(Side::client, offer.ring, offer.segment, page);
  if (offer.ring % page != 0 || (offer.segment - 2 * offer.ring) % page != 0) distrust("its parts are not aligned");
  segment.granted_.pages = huge ? Pages::huge : Pages::normal;
  segment.map(memory);
  segment.apply(wanted);
  return segment;
}

Segment::~Segment() {
  if (base_ != nullptr) ::munmap(base_, mapped_bytes());
}

void Segment::map(const Memory& memory) {
  const std::uint64_t whole = mapped_bytes() + guard_;
  void* const reserved = ::mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) throw plugin::os_failure(errno, "reserving addresses");
  auto* const start = static_cast<std::byte*>(reserved);
  const std::uint64_t skipped = -reinterpret_cast<std::uintptr_t>(start) % guard_;
  base_ = start + skipped;
  if (skipped > 0) ::munmap(start, skipped);
  if (skipped < guard_) ::munmap(base_ + mapped_bytes(), guard_ - skipped);
  for (unsigned index = 0; index < 2; ++index) {
    const bool ours = (index == 0) == (side_ == Side::listener);
    const int protection = ours ? PROT_READ | PROT_WRITE : PROT_READ;
    map_part(memory.get(), bytes_of(index), index * ring_, ring_, protection);
    map_part(memory.get(), bytes_of(index) + ring_, index * ring_, ring_, protection);
  }
  map_part(memory.get(), controls_at(), 2 * ring_, size_ - 2 * ring_, PROT_READ | PROT_WRITE);
}

/// Best effort: what could not be had is missing in `granted_`, which `ferry explain` shows.
void Segment::apply(const PageOptions& wanted) noexcept {
  const auto for_both = [this](std::uint64_t size, auto&& call) {
    return call(incoming_bytes(), size) && call(outgoing_bytes(), size);
  };
  if (wanted.pages == Pages::transparent && ring_ % transparent_page_bytes == 0) {
    // Asks for large pages, and then makes them of what is there: the memory was allocated before it was mapped.
    for_both(2 * ring_, [](std::byte* at, std::uint64_t size) { return ::madvise(at, size, MADV_HUGEPAGE) == 0; });
    const bool made =
        for_both(ring_, [](std::byte* at, std::uint64_t size) { return ::madvise(at, size, collapse) == 0; });
    if (made) granted_.pages = Pages::transparent;
  }
  if (wanted.pretouch) {
    granted_.pretouch = ::madvise(incoming_bytes(), 2 * ring_, populate_read) == 0 &&
                        ::madvise(outgoing_bytes(), 2 * ring_, populate_write) == 0;
  }
  if (wanted.lock) {
    // A page is locked through any one of its addresses; both would count twice against the limit.
    granted_.lock = for_both(ring_, [](std::byte* at, std::uint64_t size) { return ::mlock(at, size) == 0; }) &&
                    ::mlock(controls_at(), size_ - 2 * ring_) == 0;
  }
}

}  // namespace ferry::shm_spsc

// The memory of one connection: two rings and their controls in a sealed memfd, mapped so that every view is
// contiguous.
//
//   file      0 … ring          bytes that the listener's end writes
//             ring … 2 ring     bytes that the client's end writes
//             2 ring …          RingControl of the first, RingControl of the second, to the end of the page
//   mapping   each ring twice in a row; guard pages that nobody may touch before, between and behind
//
// The memory is allocated when the segment is made, so running out of it is an error there and no SIGBUS later. The
// seals keep the other process from truncating the file, which would be one as well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "offer.hpp"
#include "ring_machine.hpp"
#include "system.hpp"

namespace ferry::shm_spsc {

enum class Pages : std::uint8_t { normal, transparent, huge };

/// What a user wants of the pages, and what he got.
struct PageOptions {
  Pages pages = Pages::normal;
  bool pretouch = false;
  bool lock = false;
};

/// Which end of the connection this process holds.
enum class Side : std::uint8_t { listener, client };

class Segment {
 public:
  /// Makes a segment with rings of `ring` bytes, the listener's end of it, and gives out its descriptor to be passed
  /// on. Throws Failure(NO_RESOURCES) when there is not the memory, or what the system says.
  static Segment create(std::uint64_t ring, const PageOptions& wanted, Memory& memory);
  /// The client's end of the segment that `offer` describes. Throws Failure(FERRY_PROTOCOL) when `memory` is not what
  /// it should be: of another kind, size or seals; huge pages only where `wanted` asks for them.
  static Segment open(Memory memory, const Offer& offer, const PageOptions& wanted);

  Segment(Segment&& other) noexcept
      : side_(other.side_),
        ring_(other.ring_),
        size_(other.size_),
        guard_(other.guard_),
        base_(std::exchange(other.base_, nullptr)),
        granted_(other.granted_) {}
  Segment& operator=(Segment&&) = delete;
  ~Segment();

  std::uint64_t ring() const noexcept { return ring_; }
  std::uint64_t size() const noexcept { return size_; }
  /// What the system granted.
  const PageOptions& pages() const noexcept { return granted_; }

  RingControl& incoming() const noexcept { return controls()[side_ == Side::listener ? 1 : 0]; }
  RingControl& outgoing() const noexcept { return controls()[side_ == Side::listener ? 0 : 1]; }
  /// Twice `ring` bytes each, of which this end may write the outgoing ones only.
  std::byte* incoming_bytes() const noexcept { return bytes_of(side_ == Side::listener ? 1 : 0); }
  std::byte* outgoing_bytes() const noexcept { return bytes_of(side_ == Side::listener ? 0 : 1); }

 private:
  /// `page`: bytes of the file's pages.
  Segment(Side side, std::uint64_t ring, std::uint64_t size, std::uint64_t page) noexcept;
  static Segment make(std::uint64_t ring, bool huge, Memory& memory);
  void map(const Memory& memory);
  void apply(const PageOptions& wanted) noexcept;
  std::byte* bytes_of(unsigned index) const noexcept { return base_ + guard_ + index * (2 * ring_ + guard_); }
  std::byte* controls_at() const noexcept { return base_ + 4 * ring_ + 3 * guard_; }
  RingControl* controls() const noexcept { return reinterpret_cast<RingControl*>(controls_at()); }
  std::uint64_t mapped_bytes() const noexcept { return 4 * ring_ + (size_ - 2 * ring_) + 4 * guard_; }

  Side side_;
  std::uint64_t ring_;
  std::uint64_t size_;
  std::uint64_t guard_;        // bytes of a guard; every part of the mapping is aligned to it
  std::byte* base_ = nullptr;  // of the whole reservation, guards included
  PageOptions granted_;
};

}  // namespace ferry::shm_spsc

// The engine's deadlines: a binary heap whose entries know their place, so that moving one allocates nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace ferry::quic {

inline constexpr std::uint64_t no_deadline = UINT64_MAX;

/// Base of what has a deadline.
struct Timed {
  static constexpr std::size_t not_in_heap = SIZE_MAX;
  std::uint64_t due = no_deadline;
  std::size_t place = not_in_heap;
};

class Timers {
 public:
  std::uint64_t earliest() const noexcept { return heap_.empty() ? no_deadline : heap_.front()->due; }
  Timed* first() const noexcept { return heap_.empty() ? nullptr : heap_.front(); }

  /// Adds, moves, or with `no_deadline` removes. Throws std::bad_alloc when it adds.
  void set(Timed& entry, std::uint64_t due) {
    if (entry.place == Timed::not_in_heap) {
      if (due == no_deadline) return;
      heap_.push_back(&entry);
      entry.place = heap_.size() - 1;
      entry.due = due;
      rise(entry.place);
    } else if (due == no_deadline) {
      remove(entry);
    } else if (due != entry.due) {
      const bool earlier = due < entry.due;
      entry.due = due;
      earlier ? rise(entry.place) : sink(entry.place);
    }
  }

  void remove(Timed& entry) noexcept {
    const std::size_t place = std::exchange(entry.place, Timed::not_in_heap);
    entry.due = no_deadline;
    if (place == Timed::not_in_heap) return;
    Timed* const last = heap_.back();
    heap_.pop_back();
    if (last == &entry) return;
    put(place, last);
    rise(place);
    sink(last->place);
  }

 private:
  void put(std::size_t place, Timed* entry) noexcept {
    heap_[place] = entry;
    entry->place = place;
  }
  void rise(std::size_t place) noexcept {
    Timed* const entry = heap_[place];
    while (place > 0 && entry->due < heap_[(place - 1) / 2]->due) {
      put(place, heap_[(place - 1) / 2]);
      place = (place - 1) / 2;
    }
    put(place, entry);
  }
  void sink(std::size_t place) noexcept {
    Timed* const entry = heap_[place];
    for (;;) {
      std::size_t child = 2 * place + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && heap_[child + 1]->due < heap_[child]->due) ++child;
      if (heap_[child]->due >= entry->due) break;
      put(place, heap_[child]);
      place = child;
    }
    put(place, entry);
  }

  std::vector<Timed*> heap_;
};

}  // namespace ferry::quic

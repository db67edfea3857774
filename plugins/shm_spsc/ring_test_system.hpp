// What the ring's tests need of the system.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ferry::shm_spsc {

/// The smallest amount that can be mapped twice in a row.
extern const std::size_t smallest_capacity;

/// Memory of this process at two places in a row.
class TwiceMapped {
 public:
  explicit TwiceMapped(std::size_t size);
  TwiceMapped(const TwiceMapped&) = delete;
  TwiceMapped& operator=(const TwiceMapped&) = delete;
  ~TwiceMapped();

  std::byte* data() const noexcept { return data_; }

 private:
  std::size_t size_;
  std::byte* data_ = nullptr;
};

/// True when a heavy barrier reaches the other threads of this process.
bool can_fence_own_threads() noexcept;

/// What one side sleeps on, as connections do: on a word, or on an event that resets itself.
class Bed {
 public:
  Bed();
  Bed(const Bed&) = delete;
  Bed& operator=(const Bed&) = delete;
  ~Bed();

  /// Until woken, unless `word` is not `value`.
  void sleep(const std::atomic<std::uint32_t>& word, std::uint32_t value);
  void wake(std::atomic<std::uint32_t>& word);

 private:
  [[maybe_unused]] void* event_ = nullptr;  // on Windows
};

}  // namespace ferry::shm_spsc

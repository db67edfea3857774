// A transport in memory that lends: each direction is a ring of bytes mapped twice in a row, so that every view is
// contiguous, and its events are signalled only while somebody has armed them. For tests of the core, and of the
// conformance suite's own tests of lending. One lock guards all; what matters here is the contract, not the speed.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include "ferry/plugin.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "support/armed_event.hpp"

namespace ferry::test {

/// A ring's memory: byte i stands at i and at i + size.
class MirroredMemory {
 public:
  static constexpr std::size_t size = 64u << 10;

  MirroredMemory() {
    const plugin::UniqueFd file(::memfd_create("ring", MFD_CLOEXEC));
    if (!file || ::ftruncate(file.get(), size) != 0) fail();
    void* const both = ::mmap(nullptr, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (both == MAP_FAILED) fail();
    begin_ = static_cast<std::byte*>(both);
    for (std::byte* half : {begin_, begin_ + size}) {
      if (::mmap(half, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file.get(), 0) == MAP_FAILED) fail();
    }
  }
  MirroredMemory(const MirroredMemory&) = delete;
  MirroredMemory& operator=(const MirroredMemory&) = delete;
  ~MirroredMemory() { ::munmap(begin_, 2 * size); }

  std::byte* at(std::uint64_t position) const noexcept { return begin_ + position % size; }

 private:
  [[noreturn]] static void fail() { throw plugin::Failure(FERRY_NO_RESOURCES, "cannot map a ring", errno); }
  std::byte* begin_ = nullptr;
};

/// What both ends share. Every member is guarded by the mutex.
struct LendingLink {
  struct Direction {
    MirroredMemory memory;
    std::uint64_t head = 0;  // bytes consumed since the start
    std::uint64_t tail = 0;  // bytes committed
    bool ended = false;      // by the writer
    bool reader_gone = false;
    std::uint64_t copied_in = 0;   // bytes that came by write instead of commit
    std::uint64_t copied_out = 0;  // bytes that left by read instead of consume

    std::uint64_t used() const noexcept { return tail - head; }
    std::uint64_t room() const noexcept { return MirroredMemory::size - used(); }
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::array<Direction, 2> directions;  // written by the end with that index
  std::array<ArmedEvent, 2> readers;    // of that end
  std::array<ArmedEvent, 2> writers;
  std::array<bool, 2> interrupted{};
  bool reset = false;
  int armed_together = 0;  // by the event loop's thread

  void wake_everybody() {
    for (std::size_t end : {0u, 1u}) {
      readers[end].signal();
      writers[end].signal();
    }
    changed.notify_all();
  }
};

class LendingConnection : public plugin::Connection<LendingConnection> {
 public:
  LendingConnection(std::shared_ptr<LendingLink> link, std::size_t end) : link_(std::move(link)), end_(end) {}
  ~LendingConnection() {
    const std::lock_guard lock(link_->mutex);
    out().ended = true;
    in().reader_gone = true;
    link_->wake_everybody();
  }

  ferry_status peek(std::uint64_t minimum, const void** data, std::uint64_t* size, std::int64_t deadline) {
    std::unique_lock lock(link_->mutex);
    const ferry_status status =
        wait(lock, deadline, [&] { return link_->reset || in().used() >= minimum || in().ended; });
    if (status != FERRY_OK) return status;
    if (link_->reset) return FERRY_RESET;
    if (in().used() < minimum) return FERRY_END;
    *data = in().memory.at(in().head);
    *size = in().used();
    return FERRY_OK;
  }
  void consume(std::uint64_t size) {
    const std::lock_guard lock(link_->mutex);
    in().head += size;
    link_->writers[peer()].signal();
    link_->changed.notify_all();
  }
  ferry_status reserve(std::uint64_t minimum, void** data, std::uint64_t* size, std::int64_t deadline) {
    std::unique_lock lock(link_->mutex);
    if (out().ended) return FERRY_CLOSED;
    const auto broken = [&] { return link_->reset || out().reader_gone; };
    const ferry_status status = wait(lock, deadline, [&] { return broken() || out().room() >= minimum; });
    if (status != FERRY_OK) return status;
    if (broken()) return FERRY_RESET;
    *data = out().memory.at(out().tail);
    *size = out().room();
    return FERRY_OK;
  }
  ferry_status commit(std::uint64_t size) {
    const std::lock_guard lock(link_->mutex);
    if (link_->reset || out().reader_gone) return FERRY_RESET;
    out().tail += size;
    if (size == 0) return FERRY_OK;
    link_->readers[peer()].signal();
    link_->changed.notify_all();
    return FERRY_OK;
  }

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline) {
    if (size == 0) return 0;
    const void* view = nullptr;
    std::uint64_t lent = 0;
    if (const ferry_status status = peek(1, &view, &lent, deadline); status != FERRY_OK) return status;
    const std::uint64_t count = std::min(size, lent);
    std::memcpy(data, view, count);
    consume(count);
    const std::lock_guard lock(link_->mutex);
    in().copied_out += count;
    return static_cast<std::int64_t>(count);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t, std::int64_t deadline) {
    std::uint64_t wanted = 0;
    for (std::uint32_t i = 0; i < count; ++i) wanted += pieces[i].size;
    void* view = nullptr;
    std::uint64_t room = 0;
    if (const ferry_status status = reserve(wanted == 0 ? 0 : 1, &view, &room, deadline); status != FERRY_OK) {
      return status;
    }
    std::uint64_t done = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint64_t part = std::min<std::uint64_t>(pieces[i].size, room - done);
      if (part > 0) std::memcpy(static_cast<std::byte*>(view) + done, pieces[i].data, part);
      done += part;
    }
    if (const ferry_status status = commit(done); status != FERRY_OK) return status;
    const std::lock_guard lock(link_->mutex);
    out().copied_in += done;
    return static_cast<std::int64_t>(done);
  }
  std::int32_t arm(ferry_interest interest) {
    const std::lock_guard lock(link_->mutex);
    if (interest == FERRY_READ) return link_->readers[end_].arm(link_->reset || in().used() > 0 || in().ended);
    return link_->writers[end_].arm(link_->reset || out().room() > 0 || out().reader_gone);
  }
  ferry_status pollable(ferry_interest interest, ferry_pollable& result) {
    result.handle = (interest == FERRY_READ ? link_->readers : link_->writers)[end_].handle();
    result.events = FERRY_POLL_IN;
    return FERRY_OK;
  }
  ferry_status shutdown_write() {
    const std::lock_guard lock(link_->mutex);
    out().ended = true;
    link_->readers[peer()].signal();
    link_->changed.notify_all();
    return FERRY_OK;
  }
  void interrupt() {
    const std::lock_guard lock(link_->mutex);
    link_->interrupted[end_] = true;
    link_->changed.notify_all();
  }
  /// The rings outlive this end, so what was written reaches the peer in any case.
  ferry_status finish(std::int64_t) { return shutdown_write(); }
  void abort_now() {
    const std::lock_guard lock(link_->mutex);
    link_->reset = true;
    link_->wake_everybody();
  }
  void describe(ferry_connection_info& info) { info.max_view = MirroredMemory::size; }
  static const void* extension(std::string_view id) {
    if (id == FERRY_EXT_ARM_MANY) return &arming;
    return id == FERRY_EXT_LEND ? &lending : nullptr;
  }

 private:
  static const ferry_lend lending;
  static const ferry_arm_many arming;

  std::size_t peer() const { return 1 - end_; }
  LendingLink::Direction& out() { return link_->directions[end_]; }
  LendingLink::Direction& in() { return link_->directions[peer()]; }

  template <class Ready>
  ferry_status wait(std::unique_lock<std::mutex>& lock, std::int64_t deadline, Ready ready) {
    while (!ready()) {
      if (deadline == FERRY_NO_WAIT) return FERRY_WOULD_BLOCK;
      if (link_->interrupted[end_]) return FERRY_INTERRUPTED;
      if (deadline == FERRY_FOREVER) {
        link_->changed.wait(lock);
      } else {
        const std::chrono::steady_clock::time_point until{std::chrono::nanoseconds(deadline)};
        if (link_->changed.wait_until(lock, until) == std::cv_status::timeout && !ready()) return FERRY_TIMED_OUT;
      }
    }
    return FERRY_OK;
  }

  std::shared_ptr<LendingLink> link_;
  std::size_t end_;
};

inline const ferry_lend LendingConnection::lending = {
    sizeof(ferry_lend),
    0,
    [](ferry_connection* c, std::uint64_t minimum, const void** data, std::uint64_t* size, std::int64_t deadline) {
      return from(c).peek(minimum, data, size, deadline);
    },
    [](ferry_connection* c, std::uint64_t size) { from(c).consume(size); },
    [](ferry_connection* c, std::uint64_t minimum, void** data, std::uint64_t* size, std::int64_t deadline) {
      return from(c).reserve(minimum, data, size, deadline);
    },
    [](ferry_connection* c, std::uint64_t size, std::uint32_t) { return from(c).commit(size); },
    [](ferry_connection* c, std::uint64_t size) { return from(c).commit(size); }};

inline const ferry_arm_many LendingConnection::arming = {
    sizeof(ferry_arm_many), 0,
    [](ferry_connection* const* connections, std::uint32_t count, ferry_interest interest, std::int32_t* answers) {
      for (std::uint32_t i = 0; i < count; ++i) {
        ++from(connections[i]).link_->armed_together;
        answers[i] = from(connections[i]).arm(interest);
      }
    }};

}  // namespace ferry::test

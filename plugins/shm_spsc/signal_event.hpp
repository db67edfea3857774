// Wakes the other process, blocked call or event loop alike, and tells when that process has gone: on Windows.
//
// Each end of a connection sleeps on two events of its own, one for each direction, which reset themselves when they
// have woken somebody; the other process sets them. The rendezvous pipe breaks when the other process ends, however it
// ends: a read of it, reported to the thread pool, then sets both events here. Rejected: the other process's handle
// beside each event, because an event loop waits on one handle.
//
// Names last as long as a handle of their maker. So a client answers with one byte when it has opened all there is to
// open, and finish waits for that; nothing else is ever sent. Where a connection ends without finish before its client
// has answered, the client finds nothing to open and takes it for a reset. Rejected: to keep everything until the
// client answers or ends, which a client that does neither would turn into memory that no limit counts.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "ferry/abi.h"
#include "ferry/sdk/handle_wait.hpp"
#include "ferry/sdk/interrupt.hpp"
#include "ferry/sdk/unique_handle.hpp"

namespace ferry::shm_spsc {

/// A direction's event, as the end that sleeps on it sees it.
enum class Event : std::uint8_t { data, room };

/// What one end holds beside its mapping.
struct Shared {
  std::array<plugin::UniqueHandle, 2> own;    ///< this end sleeps on
  std::array<plugin::UniqueHandle, 2> other;  ///< the other end sleeps on
  plugin::UniqueHandle memory;                ///< at the listener's end, for the client to open by its name
  plugin::UniqueHandle pipe;  ///< the rendezvous; goes first, so that whoever misses a name finds it broken
};

/// Watches for the client's answer and for the other process's end.
class PeerWatch {
 public:
  /// Throws Failure(NO_RESOURCES).
  static std::shared_ptr<PeerWatch> start(Shared shared);
  PeerWatch(const PeerWatch&) = delete;
  PeerWatch& operator=(const PeerWatch&) = delete;
  ~PeerWatch();

  HANDLE pipe() const noexcept { return shared_.pipe.get(); }
  HANDLE own(Event event) const noexcept { return shared_.own[static_cast<std::size_t>(event)].get(); }
  HANDLE other(Event event) const noexcept { return shared_.other[static_cast<std::size_t>(event)].get(); }
  /// True when the other process needs no names any more. The event for room is set when that comes true.
  bool met() const noexcept { return met_.load(std::memory_order_acquire); }         // pairs with took
  bool peer_gone() const noexcept { return gone_.load(std::memory_order_acquire); }  // pairs with note_gone

 private:
  explicit PeerWatch(Shared shared);
  static void CALLBACK on_read(PTP_CALLBACK_INSTANCE, void* self, void*, ULONG error, ULONG_PTR count, PTP_IO);
  void start_read() noexcept;
  void took(bool answer) noexcept;
  void note_gone() noexcept;

  Shared shared_;
  std::atomic<bool> met_;
  std::atomic<bool> gone_{false};
  std::mutex mutex_;  // guards the two below
  bool under_way_ = false;
  bool ending_ = false;           // no read is to be started any more
  std::condition_variable idle_;  // none is under way
  std::byte answer_{};
  OVERLAPPED reading_{};
  PTP_IO pool_io_ = nullptr;
};

/// One direction's end. raise(), drain() and sleep() may run concurrently.
class SignalEvent {
 public:
  SignalEvent(std::shared_ptr<PeerWatch> peer, Event event) noexcept : peer_(std::move(peer)), event_(event) {}

  /// For pollable().
  std::int64_t handle() const noexcept { return reinterpret_cast<std::int64_t>(peer_->own(event_)); }
  HANDLE pipe() const noexcept { return peer_->pipe(); }
  /// Wakes the other end. Never blocks.
  void raise() noexcept { ::SetEvent(peer_->other(event_)); }
  /// The other process's end wakes once, so whoever is about to sleep asks drain, which costs nothing.
  static constexpr bool stays_raised = false;
  /// False: the other process has gone. What was raised took itself back when it woke somebody.
  bool drain() noexcept { return !peer_gone(); }
  /// Sleeps until raised. As plugin::wait_signalled.
  ferry_status sleep(std::int64_t deadline_ns, plugin::Interrupt& interrupt) noexcept {
    return plugin::wait_signalled(peer_->own(event_), deadline_ns, interrupt);
  }
  bool peer_gone() const noexcept { return peer_->peer_gone(); }
  bool met() const noexcept { return peer_->met(); }

 private:
  std::shared_ptr<PeerWatch> peer_;
  Event event_;
};

}  // namespace ferry::shm_spsc

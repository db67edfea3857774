#include <utility>

#include "ferry/sdk/os_error.hpp"
#include "signal_event.hpp"

namespace ferry::shm_spsc {

std::shared_ptr<PeerWatch> PeerWatch::start(Shared shared) {
  std::shared_ptr<PeerWatch> watch(new PeerWatch(std::move(shared)));
  const std::lock_guard lock(watch->mutex_);
  watch->start_read();
  return watch;
}

PeerWatch::PeerWatch(Shared shared) : shared_(std::move(shared)), met_(!shared_.memory) {
  // What ends at once is not reported: start_read sees it.
  const bool quiet = ::SetFileCompletionNotificationModes(pipe(), FILE_SKIP_COMPLETION_PORT_ON_SUCCESS) != FALSE;
  pool_io_ = quiet ? ::CreateThreadpoolIo(pipe(), &PeerWatch::on_read, this, nullptr) : nullptr;
  if (pool_io_ == nullptr) {
    throw plugin::os_failure(static_cast<int>(::GetLastError()), "cannot watch the other process");
  }
}

/// The system must have let go of the memory, and the pool of us, before they can be freed.
PeerWatch::~PeerWatch() {
  std::unique_lock lock(mutex_);
  ending_ = true;
  if (under_way_) ::CancelIoEx(pipe(), &reading_);
  idle_.wait(lock, [&] { return !under_way_; });
  lock.unlock();
  ::WaitForThreadpoolIoCallbacks(pool_io_, FALSE);
  shared_.pipe.reset();
  ::CloseThreadpoolIo(pool_io_);
}

void PeerWatch::start_read() noexcept {
  reading_ = {};
  ::StartThreadpoolIo(pool_io_);
  const bool done = ::ReadFile(pipe(), &answer_, 1, nullptr, &reading_) != FALSE;
  under_way_ = !done && ::GetLastError() == ERROR_IO_PENDING;
  if (under_way_) return;
  ::CancelThreadpoolIo(pool_io_);
  took(done);
}

void PeerWatch::on_read(PTP_CALLBACK_INSTANCE, void* self, void*, ULONG error, ULONG_PTR count, PTP_IO) {
  auto& watch = *static_cast<PeerWatch*>(self);
  const std::lock_guard lock(watch.mutex_);
  watch.under_way_ = false;
  watch.took(error == 0 && count == 1);
  if (!watch.under_way_) watch.idle_.notify_one();  // the destructor waits for the end of this callback as well
}

/// Only the first byte from a client is an answer: whoever sends another has broken the rules.
void PeerWatch::took(bool answer) noexcept {
  if (!answer || met()) return note_gone();
  met_.store(true, std::memory_order_release);  // pairs with the load in met
  ::SetEvent(own(Event::room));
  if (!ending_) start_read();
}

void PeerWatch::note_gone() noexcept {
  gone_.store(true, std::memory_order_release);  // pairs with the load in peer_gone
  for (const plugin::UniqueHandle& event : shared_.own) ::SetEvent(event.get());
}

}  // namespace ferry::shm_spsc

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/pipe_stream.hpp"
#include "lasting_failure.hpp"

namespace ferry::plugin {
namespace {
constexpr int most_reads = 16;  // of one look at the input
}  // namespace

PipeStream::PipeStream(UniqueHandle pipe) : pipe_(std::move(pipe)) {
  // What ends at once is not reported: start_write sees it.
  const bool quiet = ::SetFileCompletionNotificationModes(pipe_.get(), FILE_SKIP_COMPLETION_PORT_ON_SUCCESS) != FALSE;
  pool_io_ = quiet ? ::CreateThreadpoolIo(pipe_.get(), &PipeStream::on_written, this, nullptr) : nullptr;
  if (pool_io_ == nullptr) throw os_failure(static_cast<int>(::GetLastError()), "cannot watch the connection");
}

PipeStream::~PipeStream() {
  if (write_under_way_) ::CancelIoEx(pipe(), &writing_);
  // The system must have let go of the memory, and the pool of us, before they can be freed.
  while (arm(FERRY_WRITE) == FERRY_ARMED) ::WaitForSingleObject(writable_.get(), INFINITE);
  ::WaitForThreadpoolIoCallbacks(pool_io_, FALSE);
  cancel_read();
  pipe_.reset();
  ::CloseThreadpoolIo(pool_io_);
}

std::int64_t PipeStream::read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept {
  if (size == 0) return 0;
  for (bool late = false; !have_input(); late = deadline_passed(deadline_ns)) {
    if (read_failure_ != FERRY_OK) return read_failure_;
    if (late) return out_of_time(deadline_ns);  // writes of nothing may come for ever
    const ferry_status status = wait_signalled(readable_.get(), deadline_ns, interrupt_);
    if (status != FERRY_OK) return status;
  }
  const std::size_t count = std::min<std::uint64_t>(size, received_ - taken_);
  std::memcpy(data, input_.get() + taken_, count);
  taken_ += count;
  return static_cast<std::int64_t>(count);
}

std::int64_t PipeStream::write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t /*flags*/,
                               std::int64_t deadline_ns) noexcept {
  if (std::all_of(pieces, pieces + count, [](const ferry_iovec& piece) { return piece.size == 0; })) return 0;
  if (const ferry_status status = await_write(deadline_ns); status != FERRY_OK) return status;
  std::size_t filled = 0;
  for (std::uint32_t i = 0; i < count && filled < buffer_bytes; ++i) {
    const std::size_t part = std::min<std::uint64_t>(pieces[i].size, buffer_bytes - filled);
    if (part > 0) std::memcpy(output_.get() + filled, pieces[i].data, part);
    filled += part;
  }
  start_write(filled);
  return write_failure_ == FERRY_OK ? static_cast<std::int64_t>(filled) : write_failure_;
}

std::int32_t PipeStream::arm(ferry_interest interest) noexcept {
  if (interest == FERRY_READ) return have_input() || read_failure_ != FERRY_OK ? FERRY_READY : FERRY_ARMED;
  if (settle_write()) return FERRY_READY;
  ::ResetEvent(writable_.get());
  return settle_write() ? FERRY_READY : FERRY_ARMED;  // one that ended before the reset
}

ferry_status PipeStream::pollable(ferry_interest interest, ferry_pollable& out) const noexcept {
  out.handle = reinterpret_cast<std::int64_t>(interest == FERRY_READ ? readable_.get() : writable_.get());
  out.events = interest == FERRY_READ ? FERRY_POLL_IN : FERRY_POLL_OUT;
  return FERRY_OK;
}

ferry_status PipeStream::finish(std::int64_t deadline_ns) noexcept {
  while (arm(FERRY_WRITE) == FERRY_ARMED) {
    discard_input();  // the peer may have to write before it reads
    if (deadline_passed(deadline_ns)) return out_of_time(deadline_ns);
    const std::array<HANDLE, 2> handles{writable_.get(), readable_.get()};
    const std::size_t count = read_failure_ == FERRY_OK ? 2 : 1;  // a failure leaves its event set
    const ferry_status status = wait_signalled(std::span(handles).first(count), deadline_ns, interrupt_);
    if (status != FERRY_OK) return status;
  }
  if (write_failure_ != FERRY_OK) return write_failure_;
  // A pipe keeps what was written when our handle is closed: the peer reads our end after the last byte.
  cancel_read();
  read_failure_ = FERRY_END;
  pipe_.reset();
  return FERRY_OK;
}

/// True when there are bytes to take; else a read is under way, has failed, or too many in a row brought nothing: then
/// the event is still set.
bool PipeStream::have_input() noexcept {
  for (int reads = 0; reads < most_reads; ++reads) {
    if (taken_ < received_) return true;
    if (read_failure_ != FERRY_OK) return false;
    if (!read_under_way_) start_read();
    if (!settle_read()) return false;
  }
  return taken_ < received_;
}

void PipeStream::discard_input() noexcept {
  for (int pieces = 0; pieces < most_reads && have_input(); ++pieces) taken_ = received_;
}

void PipeStream::start_read() noexcept {
  reading_ = {};
  // The lowest bit keeps the end of the read from the thread pool, which has no part in it.
  reading_.hEvent = reinterpret_cast<HANDLE>(reinterpret_cast<std::uintptr_t>(readable_.get()) | 1u);
  read_under_way_ = true;
  if (::ReadFile(pipe(), input_.get(), buffer_bytes, nullptr, &reading_) != FALSE) return;
  const auto error = static_cast<int>(::GetLastError());
  if (error != ERROR_IO_PENDING) fail_read(error);
}

/// True when no read is under way any more; what it led to is then noted.
bool PipeStream::settle_read() noexcept {
  if (!read_under_way_) return true;
  DWORD count = 0;
  const bool done = ::GetOverlappedResult(pipe(), &reading_, &count, FALSE) != FALSE;
  const int error = done ? 0 : static_cast<int>(::GetLastError());
  if (error == ERROR_IO_INCOMPLETE) return false;
  read_under_way_ = false;
  if (error == ERROR_OPERATION_ABORTED) return true;  // the thread that had started it has ended
  if (error != 0) {
    fail_read(error);
  } else {
    taken_ = 0;
    received_ = count;  // none, when the peer wrote no bytes: that is no end
  }
  return true;
}

/// Notes a failure for good and leaves the event set, so that whoever waits comes to see it.
void PipeStream::fail_read(int error) noexcept {
  read_under_way_ = false;
  ::SetEvent(readable_.get());
  read_failure_ = error == ERROR_BROKEN_PIPE ? ferry_status{FERRY_END} : lasting_failure(error);
}

void PipeStream::start_write(std::size_t size) noexcept {
  writing_ = {};
  write_ended_.store(false, std::memory_order_relaxed);  // nobody else looks until the system has the write
  ::StartThreadpoolIo(pool_io_);
  const bool done = ::WriteFile(pipe(), output_.get(), static_cast<DWORD>(size), nullptr, &writing_) != FALSE;
  const int error = done ? 0 : static_cast<int>(::GetLastError());
  write_under_way_ = error == ERROR_IO_PENDING;
  if (write_under_way_) return;
  ::CancelThreadpoolIo(pool_io_);  // there is nothing to report
  if (error != 0) write_failure_ = lasting_failure(error);
}

/// True when no write is under way any more; what it led to is then noted.
bool PipeStream::settle_write() noexcept {
  if (!write_under_way_) return true;
  if (!write_ended_.load(std::memory_order_acquire)) return false;  // pairs with the store in on_written
  write_under_way_ = false;
  if (write_error_ != 0) write_failure_ = lasting_failure(static_cast<int>(write_error_));
  return true;
}

/// The system must have let go of the memory before it can be freed.
void PipeStream::cancel_read() noexcept {
  if (!read_under_way_) return;
  ::CancelIoEx(pipe(), &reading_);
  DWORD count = 0;
  ::GetOverlappedResult(pipe(), &reading_, &count, TRUE);
  read_under_way_ = false;
}

ferry_status PipeStream::await_write(std::int64_t deadline_ns) noexcept {
  while (arm(FERRY_WRITE) == FERRY_ARMED) {
    const ferry_status status = wait_signalled(writable_.get(), deadline_ns, interrupt_);
    if (status != FERRY_OK) return status;
  }
  return write_failure_;
}

void PipeStream::on_written(PTP_CALLBACK_INSTANCE, void* self, void*, ULONG error, ULONG_PTR, PTP_IO) {
  auto& stream = *static_cast<PipeStream*>(self);
  stream.write_error_ = error;
  HANDLE const event = stream.writable_.get();
  stream.write_ended_.store(true, std::memory_order_release);  // pairs with the load in settle_write
  ::SetEvent(event);                                           // the destructor waits for the end of this callback
}

}  // namespace ferry::plugin

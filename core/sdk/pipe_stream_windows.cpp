#include <winsock2.h>
// after winsock2.h
#include <mstcpip.h>

#include <algorithm>
#include <cstring>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/overlapped_stream.hpp"

namespace ferry::plugin {
namespace {

constexpr std::int64_t first_look_ns = 1'000'000;  // finish asks for the connection's state, first after this …
constexpr std::int64_t last_look_ns = 20'000'000;  // … and then ever less often, up to this

/// What every operation of this direction returns from now on.
ferry_status lasting_failure(int error) noexcept {
  const ferry_status status = status_of_errno(error);
  if (status == FERRY_RESET || status == FERRY_UNREACHABLE || status == FERRY_TIMED_OUT) return FERRY_RESET;
  return status == FERRY_NO_RESOURCES ? status : ferry_status{FERRY_IO};
}

}  // namespace

OverlappedStream::OverlappedStream(UniqueSocket socket, UniqueHandle pipe)
    : socket_(std::move(socket)), pipe_(std::move(pipe)) {
  // What ends at once is not reported: start_write sees it.
  const bool quiet = ::SetFileCompletionNotificationModes(handle(), FILE_SKIP_COMPLETION_PORT_ON_SUCCESS) != FALSE;
  pool_io_ = quiet ? ::CreateThreadpoolIo(handle(), &OverlappedStream::on_written, this, nullptr) : nullptr;
  if (pool_io_ == nullptr) throw os_failure(static_cast<int>(::GetLastError()), "cannot watch the connection");
}

OverlappedStream::~OverlappedStream() {
  if (write_under_way_) ::CancelIoEx(handle(), &writing_);
  ::WaitForThreadpoolIoCallbacks(pool_io_, FALSE);
  ::CloseThreadpoolIo(pool_io_);
  cancel_read();
}

std::int64_t OverlappedStream::read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept {
  if (size == 0) return 0;
  while (!have_input()) {
    if (read_failure_ != FERRY_OK) return read_failure_;
    const ferry_status status = wait_signalled(readable_.get(), deadline_ns, interrupt_);
    if (status != FERRY_OK) return status;
  }
  const std::size_t count = std::min<std::uint64_t>(size, received_ - taken_);
  std::memcpy(data, input_.get() + taken_, count);
  taken_ += count;
  return static_cast<std::int64_t>(count);
}

std::int64_t OverlappedStream::write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t /*flags*/,
                                     std::int64_t deadline_ns) noexcept {
  if (write_shut_) return FERRY_CLOSED;
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

std::int32_t OverlappedStream::arm(ferry_interest interest) noexcept {
  if (interest == FERRY_READ) return have_input() || read_failure_ != FERRY_OK ? FERRY_READY : FERRY_ARMED;
  if (settle_write()) return FERRY_READY;
  ::ResetEvent(writable_.get());
  return settle_write() ? FERRY_READY : FERRY_ARMED;  // one that ended before the reset
}

ferry_status OverlappedStream::pollable(ferry_interest interest, ferry_pollable& out) const noexcept {
  out.handle = reinterpret_cast<std::int64_t>(interest == FERRY_READ ? readable_.get() : writable_.get());
  out.events = interest == FERRY_READ ? FERRY_POLL_IN : FERRY_POLL_OUT;
  return FERRY_OK;
}

ferry_status OverlappedStream::shutdown_write() noexcept {
  if (write_shut_) return FERRY_OK;
  if (!socket_) return FERRY_UNSUPPORTED;
  // A send that is still under way goes out before.
  if (::shutdown(socket(), SD_SEND) != 0) return ::WSAGetLastError() == WSAENOTCONN ? FERRY_RESET : FERRY_IO;
  write_shut_ = true;
  return FERRY_OK;
}

ferry_status OverlappedStream::finish(std::int64_t deadline_ns) noexcept {
  if (const ferry_status status = await_write(deadline_ns); status != FERRY_OK) return status;
  if (!socket_) {
    end_pipe();
    return FERRY_OK;
  }
  // Closing with input unread would make the system send a reset, which destroys what the peer has not yet read.
  if (const ferry_status status = shutdown_write(); status != FERRY_OK) return status;
  for (std::int64_t look_ns = first_look_ns;; look_ns = std::min(2 * look_ns, last_look_ns)) {
    while (have_input()) taken_ = received_;
    if (read_failure_ != FERRY_OK) return read_failure_ == FERRY_END ? FERRY_OK : read_failure_;
    if (is_acknowledged()) return FERRY_OK;
    if (deadline_passed(deadline_ns)) return out_of_time(deadline_ns);
    const std::int64_t look_again_ns = std::min(deadline_ns, monotonic_ns() + look_ns);
    const ferry_status status = wait_signalled(readable_.get(), look_again_ns, interrupt_);
    if (status != FERRY_OK && status != FERRY_TIMED_OUT) return status;
  }
}

void OverlappedStream::reset_on_close() noexcept {
  const linger at_once{1, 0};
  ::setsockopt(socket(), SOL_SOCKET, SO_LINGER, reinterpret_cast<const char*>(&at_once), sizeof(at_once));
}

/// True when there are bytes to take; else a read is under way, or has failed.
bool OverlappedStream::have_input() noexcept {
  for (;;) {
    if (taken_ < received_) return true;
    if (read_failure_ != FERRY_OK) return false;
    if (!read_under_way_) start_read();
    if (!settle_read()) return false;
  }
}

void OverlappedStream::start_read() noexcept {
  reading_ = {};
  // The lowest bit keeps the end of the read from the thread pool, which has no part in it.
  reading_.hEvent = reinterpret_cast<HANDLE>(reinterpret_cast<std::uintptr_t>(readable_.get()) | 1u);
  read_under_way_ = true;
  int error = 0;
  if (socket_) {
    WSABUF buffer{buffer_bytes, reinterpret_cast<char*>(input_.get())};
    DWORD flags = 0;
    if (::WSARecv(socket(), &buffer, 1, nullptr, &flags, &reading_, nullptr) != 0) error = ::WSAGetLastError();
  } else if (::ReadFile(pipe(), input_.get(), buffer_bytes, nullptr, &reading_) == FALSE) {
    error = static_cast<int>(::GetLastError());
  }
  if (error != 0 && error != ERROR_IO_PENDING) fail_read(error);
}

/// True when no read is under way any more; what it led to is then noted.
bool OverlappedStream::settle_read() noexcept {
  if (!read_under_way_) return true;
  DWORD count = 0, flags = 0;
  int error = 0;
  if (socket_) {
    if (::WSAGetOverlappedResult(socket(), &reading_, &count, FALSE, &flags) == FALSE) error = ::WSAGetLastError();
  } else if (::GetOverlappedResult(pipe(), &reading_, &count, FALSE) == FALSE) {
    error = static_cast<int>(::GetLastError());
  }
  if (error == ERROR_IO_INCOMPLETE) return false;
  read_under_way_ = false;
  if (error == ERROR_OPERATION_ABORTED) return true;  // the thread that had started it has ended
  if (error != 0) {
    fail_read(error);
  } else {
    taken_ = 0;
    received_ = count;
    if (count == 0 && socket_) read_failure_ = FERRY_END;  // a pipe passes writes of no bytes on
  }
  return true;
}

/// Notes a failure for good and leaves the event set, so that whoever waits comes to see it.
void OverlappedStream::fail_read(int error) noexcept {
  read_under_way_ = false;
  ::SetEvent(readable_.get());
  read_failure_ = error == ERROR_BROKEN_PIPE ? ferry_status{FERRY_END} : lasting_failure(error);
}

void OverlappedStream::start_write(std::size_t size) noexcept {
  writing_ = {};
  write_ended_.store(false, std::memory_order_relaxed);  // nobody else looks until the system has the write
  ::StartThreadpoolIo(pool_io_);
  int error = 0;
  if (socket_) {
    WSABUF buffer{static_cast<ULONG>(size), reinterpret_cast<char*>(output_.get())};
    if (::WSASend(socket(), &buffer, 1, nullptr, 0, &writing_, nullptr) != 0) error = ::WSAGetLastError();
  } else if (::WriteFile(pipe(), output_.get(), static_cast<DWORD>(size), nullptr, &writing_) == FALSE) {
    error = static_cast<int>(::GetLastError());
  }
  write_under_way_ = error == ERROR_IO_PENDING;
  if (write_under_way_) return;
  ::CancelThreadpoolIo(pool_io_);  // there is nothing to report
  if (error != 0) write_failure_ = lasting_failure(error);
}

/// True when no write is under way any more; what it led to is then noted.
bool OverlappedStream::settle_write() noexcept {
  if (!write_under_way_) return true;
  if (!write_ended_.load(std::memory_order_acquire)) return false;  // pairs with the store in on_written
  write_under_way_ = false;
  if (write_error_ != 0) write_failure_ = lasting_failure(static_cast<int>(write_error_));
  return true;
}

/// The system must have let go of the memory before it can be freed.
void OverlappedStream::cancel_read() noexcept {
  if (!read_under_way_) return;
  ::CancelIoEx(handle(), &reading_);
  DWORD count = 0;
  ::GetOverlappedResult(handle(), &reading_, &count, TRUE);
  read_under_way_ = false;
}

/// Lets the peer read our end after the last byte: a pipe keeps what was written when our handle is closed.
void OverlappedStream::end_pipe() noexcept {
  cancel_read();
  read_failure_ = FERRY_END;
  write_failure_ = FERRY_OK;
  pipe_.reset();
}

ferry_status OverlappedStream::await_write(std::int64_t deadline_ns) noexcept {
  while (arm(FERRY_WRITE) == FERRY_ARMED) {
    const ferry_status status = wait_signalled(writable_.get(), deadline_ns, interrupt_);
    if (status != FERRY_OK) return status;
  }
  return write_failure_;
}

void OverlappedStream::on_written(PTP_CALLBACK_INSTANCE, void* self, void*, ULONG error, ULONG_PTR, PTP_IO) {
  auto& stream = *static_cast<OverlappedStream*>(self);
  stream.write_error_ = error;
  HANDLE const event = stream.writable_.get();
  stream.write_ended_.store(true, std::memory_order_release);  // pairs with the load in settle_write
  ::SetEvent(event);                                           // the destructor waits for the end of this callback
}

/// True once the peer has acknowledged our end, and so all before it; and where the system does not tell: there closing
/// does not stop it from sending on.
bool OverlappedStream::is_acknowledged() const noexcept {
  DWORD version = 0, size = 0;
  TCP_INFO_v0 info{};
  if (::WSAIoctl(socket(), SIO_TCP_INFO, &version, sizeof(version), &info, sizeof(info), &size, nullptr, nullptr) !=
      0) {
    return true;
  }
  return info.State != TCPSTATE_ESTABLISHED && info.State != TCPSTATE_FIN_WAIT_1 && info.State != TCPSTATE_CLOSE_WAIT &&
         info.State != TCPSTATE_LAST_ACK && info.State != TCPSTATE_CLOSING;
}

}  // namespace ferry::plugin

#include <winsock2.h>
// after winsock2.h
#include <mstcpip.h>

#include <algorithm>
#include <array>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/socket_stream.hpp"
#include "lasting_failure.hpp"

namespace ferry::plugin {
namespace {

constexpr std::int64_t first_look_ns = 1'000'000;  // finish asks for the connection's state, first after this …
constexpr std::int64_t last_look_ns = 20'000'000;  // … and then ever less often, up to this
/// Of one call: Windows would take any amount at once and keep it in memory that is never paged out.
constexpr std::uint64_t most_bytes_written = 256u << 10;
constexpr std::uint64_t most_bytes_read = 1u << 30;  // a count of Winsock's has 32 bits
constexpr std::size_t most_pieces = 16;
constexpr int most_reads = 64;  // of one look at what finish discards

}  // namespace

SocketStream::SocketStream(UniqueSocket socket) : socket_(std::move(socket)) {
  // Makes the socket one that does not wait, too.
  if (::WSAEventSelect(socket_.get(), writable_.get(), FD_WRITE | FD_CLOSE) != 0) {
    throw os_failure(::WSAGetLastError(), "cannot watch the connection");
  }
}

/// The system must have let go of the memory before it can be freed.
SocketStream::~SocketStream() {
  if (!look_under_way_) return;
  HANDLE const handle = reinterpret_cast<HANDLE>(socket());
  ::CancelIoEx(handle, &looking_);
  DWORD count = 0;
  ::GetOverlappedResult(handle, &looking_, &count, TRUE);
}

// --------------------------------------------------------------------------------------------------------- reading

std::int64_t SocketStream::read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept {
  if (size == 0) return 0;
  for (;;) {
    const std::int64_t result = try_read(data, size);
    if (result != FERRY_WOULD_BLOCK || deadline_ns == FERRY_NO_WAIT) return result;
    if (!wait_for_input()) continue;
    const ferry_status status = wait_signalled(readable_.get(), deadline_ns, interrupt_);
    if (status != FERRY_OK) return status;
  }
}

/// Takes what is there. While a look is under way, there is nothing.
std::int64_t SocketStream::try_read(void* data, std::uint64_t size) noexcept {
  if (read_failure_ != FERRY_OK) return read_failure_;
  if (!settle_look()) return FERRY_WOULD_BLOCK;
  const int count = ::recv(socket(), static_cast<char*>(data), static_cast<int>(std::min(size, most_bytes_read)), 0);
  if (count > 0) return count;
  if (count == 0) return read_failure_ = FERRY_END;
  const int error = ::WSAGetLastError();
  if (error == WSAEWOULDBLOCK) return FERRY_WOULD_BLOCK;
  return read_failure_ = lasting_failure(error);
}

/// Makes `readable_` tell of input. False: there is some already, or a failure, which a read will tell of.
bool SocketStream::wait_for_input() noexcept {
  if (look_under_way_ || read_failure_ != FERRY_OK) return read_failure_ == FERRY_OK && !settle_look();
  looking_ = {};
  // The lowest bit keeps it from a completion port that others may have tied the socket to.
  looking_.hEvent = reinterpret_cast<HANDLE>(reinterpret_cast<std::uintptr_t>(readable_.get()) | 1u);
  WSABUF nothing{0, nullptr};
  DWORD flags = 0;
  if (::WSARecv(socket(), &nothing, 1, nullptr, &flags, &looking_, nullptr) == 0) return false;
  const int error = ::WSAGetLastError();
  look_under_way_ = error == WSA_IO_PENDING;
  if (!look_under_way_) read_failure_ = lasting_failure(error);
  return look_under_way_;
}

/// True when no look is under way any more. A failure may be told only once, so it is kept; a look that was cancelled,
/// because the thread that had begun it has ended, is none.
bool SocketStream::settle_look() noexcept {
  if (!look_under_way_) return true;
  DWORD count = 0, flags = 0;
  const bool done = ::WSAGetOverlappedResult(socket(), &looking_, &count, FALSE, &flags) != FALSE;
  const int error = done ? 0 : ::WSAGetLastError();
  if (error == WSA_IO_INCOMPLETE) return false;
  look_under_way_ = false;
  if (error != 0 && error != WSA_OPERATION_ABORTED) read_failure_ = lasting_failure(error);
  return true;
}

// --------------------------------------------------------------------------------------------------------- writing

std::int64_t SocketStream::write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t /*flags*/,
                                 std::int64_t deadline_ns) noexcept {
  if (write_shut_) return FERRY_CLOSED;
  if (std::all_of(pieces, pieces + count, [](const ferry_iovec& piece) { return piece.size == 0; })) return 0;
  for (;;) {
    const std::int64_t result = try_write(pieces, count);
    if (result != FERRY_WOULD_BLOCK) return result;
    const ferry_status status = wait_signalled(writable_.get(), deadline_ns, interrupt_);
    if (status != FERRY_OK) return status;
  }
}

/// Gives what there is room for. WOULD_BLOCK: `writable_` will tell.
std::int64_t SocketStream::try_write(const ferry_iovec* pieces, std::uint32_t count) noexcept {
  if (write_failure_ != FERRY_OK) return write_failure_;
  std::array<WSABUF, most_pieces> buffers;
  DWORD used = 0;
  std::uint64_t total = 0;
  for (std::uint32_t i = 0; i < count && used < most_pieces && total < most_bytes_written; ++i) {
    if (pieces[i].size == 0) continue;
    const std::uint64_t part = std::min(pieces[i].size, most_bytes_written - total);
    buffers[used++] = {static_cast<ULONG>(part), static_cast<char*>(const_cast<void*>(pieces[i].data))};
    total += part;
  }
  // The system sets the event once after each call that met a full queue. So it must be reset before the last such
  // call, and room that came before the reset is found by calling again.
  if (full_ && ::WaitForSingleObject(writable_.get(), 0) == WAIT_OBJECT_0) full_ = false;
  for (;;) {
    DWORD sent = 0;
    if (::WSASend(socket(), buffers.data(), used, &sent, 0, nullptr, nullptr) == 0) {
      full_ = false;
      return sent;
    }
    const int error = ::WSAGetLastError();
    if (error != WSAEWOULDBLOCK) return write_failure_ = lasting_failure(error);
    if (full_) return FERRY_WOULD_BLOCK;
    ::ResetEvent(writable_.get());
    full_ = true;
  }
}

ferry_status SocketStream::shutdown_write() noexcept {
  if (write_shut_) return FERRY_OK;
  if (::shutdown(socket(), SD_SEND) != 0) return ::WSAGetLastError() == WSAENOTCONN ? FERRY_RESET : FERRY_IO;
  write_shut_ = true;
  return FERRY_OK;
}

// --------------------------------------------------------------------------------------------------------- waiting

std::int32_t SocketStream::arm(ferry_interest interest) noexcept {
  if (interest == FERRY_READ) return wait_for_input() ? FERRY_ARMED : FERRY_READY;
  const bool asleep = full_ && write_failure_ == FERRY_OK && ::WaitForSingleObject(writable_.get(), 0) == WAIT_TIMEOUT;
  return asleep ? FERRY_ARMED : FERRY_READY;
}

ferry_status SocketStream::pollable(ferry_interest interest, ferry_pollable& out) const noexcept {
  out.handle = reinterpret_cast<std::int64_t>(interest == FERRY_READ ? readable_.get() : writable_.get());
  out.events = interest == FERRY_READ ? FERRY_POLL_IN : FERRY_POLL_OUT;
  return FERRY_OK;
}

// ---------------------------------------------------------------------------------------------------------- ending

ferry_status SocketStream::finish(std::int64_t deadline_ns) noexcept {
  if (const ferry_status status = shutdown_write(); status != FERRY_OK) return status;
  for (std::int64_t look_ns = first_look_ns;; look_ns = std::min(2 * look_ns, last_look_ns)) {
    // Closing with input unread would make the system send a reset, which destroys what the peer has not yet read.
    std::array<std::byte, 4096> unread;
    std::int64_t result = 0;
    for (int reads = 0; reads < most_reads && (result = try_read(unread.data(), unread.size())) > 0; ++reads) {
      peer_still_sends_ = true;
    }
    if (result < 0 && result != FERRY_WOULD_BLOCK)
      return result == FERRY_END ? ferry_status{FERRY_OK} : static_cast<ferry_status>(result);
    // Where the system does not tell, a peer that sends must be heard to its end.
    if (result < 0 && acknowledged().value_or(!peer_still_sends_)) return FERRY_OK;
    if (deadline_passed(deadline_ns)) return out_of_time(deadline_ns);
    if (result > 0) continue;
    if (!wait_for_input()) continue;
    const std::int64_t look_again_ns = std::min(deadline_ns, monotonic_ns() + look_ns);
    const ferry_status status = wait_signalled(readable_.get(), look_again_ns, interrupt_);
    if (status != FERRY_OK && status != FERRY_TIMED_OUT) return status;
  }
}

void SocketStream::reset_on_close() noexcept {
  const linger at_once{1, 0};
  ::setsockopt(socket(), SOL_SOCKET, SO_LINGER, reinterpret_cast<const char*>(&at_once), sizeof(at_once));
}

/// Whether the peer has acknowledged our end, and so all before it; none where the system does not tell: there closing
/// does not stop it from sending on.
std::optional<bool> SocketStream::acknowledged() const noexcept {
  DWORD version = 0, size = 0;
  TCP_INFO_v0 info{};
  if (::WSAIoctl(socket(), SIO_TCP_INFO, &version, sizeof(version), &info, sizeof(info), &size, nullptr, nullptr) !=
      0) {
    return std::nullopt;
  }
  return info.State != TCPSTATE_ESTABLISHED && info.State != TCPSTATE_FIN_WAIT_1 && info.State != TCPSTATE_CLOSE_WAIT &&
         info.State != TCPSTATE_LAST_ACK && info.State != TCPSTATE_CLOSING;
}

}  // namespace ferry::plugin

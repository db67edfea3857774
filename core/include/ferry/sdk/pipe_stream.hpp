// The engine of a connection over one end of a byte-mode named pipe of Windows.
//
// A pipe cannot be asked whether it is ready. So a read is under way whenever somebody waits for input, into a buffer
// of ours: its event is what an event loop waits on. A write is copied into a second buffer and accepted once the
// system has it; the next one waits for its end. Both events stay the same for the connection's life.
//
// Windows cancels what a thread has under way when the thread ends, unless it is to be reported to a completion port
// and to no event. A cancelled read took nothing and is started again; accepted bytes must not be lost like that, so
// writes that cannot end at once are reported to the thread pool, which sets their event.
//
// Rejected: reading into the caller's memory, which would have to be cancelled, and could then have read, at every
// deadline.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "ferry/abi.h"
#include "ferry/sdk/handle_wait.hpp"
#include "ferry/sdk/interrupt.hpp"
#include "ferry/sdk/unique_handle.hpp"

namespace ferry::plugin {

/// Members are named and behave as the ABI's connection operations and carry their thread tags; a plugin's connection
/// forwards to them. See abi.h for statuses. Takes 128 KiB of memory.
class PipeStream {
 public:
  /// Takes one end of a byte-mode named pipe opened with FILE_FLAG_OVERLAPPED. Throws Failure(NO_RESOURCES).
  explicit PipeStream(UniqueHandle pipe);
  PipeStream(const PipeStream&) = delete;
  PipeStream& operator=(const PipeStream&) = delete;
  /// Cancels what is under way: bytes accepted may be lost unless finish() returned FERRY_OK.
  ~PipeStream();

  HANDLE pipe() const noexcept { return pipe_.get(); }

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept;  // [reader]
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                     std::int64_t deadline_ns) noexcept;                               // [writer]
  std::int32_t arm(ferry_interest interest) noexcept;                                  // [reader] or [writer]
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) const noexcept;  // [any-thread]
  void interrupt() noexcept { interrupt_.raise(); }                                    // [any-thread]

  /// The ABI's finish: until the system has taken the last write, whose bytes outlive our handle, which is then closed.
  /// Input is discarded meanwhile. [owner]
  ferry_status finish(std::int64_t deadline_ns) noexcept;

 private:
  static constexpr std::size_t buffer_bytes = 64u << 10;
  using Buffer = std::unique_ptr<std::byte[]>;

  // The reader's.
  bool have_input() noexcept;
  void discard_input() noexcept;
  void start_read() noexcept;
  bool settle_read() noexcept;
  void fail_read(int error) noexcept;
  void cancel_read() noexcept;
  // The writer's.
  void start_write(std::size_t size) noexcept;
  bool settle_write() noexcept;
  ferry_status await_write(std::int64_t deadline_ns) noexcept;
  static void CALLBACK on_written(PTP_CALLBACK_INSTANCE, void* self, void* overlapped, ULONG error, ULONG_PTR count,
                                  PTP_IO);

  UniqueHandle pipe_;
  Interrupt interrupt_;

  OVERLAPPED reading_{};
  UniqueHandle readable_ = make_event();  // set by the system when a read ends, reset by it when one starts
  Buffer input_ = std::make_unique_for_overwrite<std::byte[]>(buffer_bytes);
  std::size_t taken_ = 0;     // of the input, by the reader
  std::size_t received_ = 0;  // bytes of input
  bool read_under_way_ = false;
  ferry_status read_failure_ = FERRY_OK;  // for good

  OVERLAPPED writing_{};
  UniqueHandle writable_ = make_event();  // set when a write has ended; reset before each sleep only
  Buffer output_ = std::make_unique_for_overwrite<std::byte[]>(buffer_bytes);
  bool write_under_way_ = false;
  ferry_status write_failure_ = FERRY_OK;  // for good
  ULONG write_error_ = 0;                  // of the write that ended last; handed over by write_ended_
  std::atomic<bool> write_ended_{false};
  PTP_IO pool_io_ = nullptr;
};

}  // namespace ferry::plugin

// The sending half of a channel: messages into a connection, with as few system calls and copies as their sizes allow.
//
// One small message is put together with its header on the stack. Many are packed into a staging buffer (the thread's
// spare one), and large ones among them are written from where they are, between pieces of the staging buffer. Where
// the transport lends, many are built in its memory instead.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ferry/connection.hpp"
#include "frame.hpp"

namespace ferry {

/// Asks for the line of a byte that will be written soon: in shared memory it is in the reader's cache. gcc's own fetch
/// for writing is one for reading unless the processor is named; one that does not know this instruction ignores it.
inline void fetch_for_writing(const std::byte* at) noexcept {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*at));
#else
  __builtin_prefetch(at, 1);
#endif
}

/// Belongs to the connection's writer. The connection outlives it and is not moved.
class MessageSender {
 public:
  explicit MessageSender(Connection& connection);
  ~MessageSender();
  MessageSender(const MessageSender&) = delete;
  MessageSender& operator=(const MessageSender&) = delete;

  /// Statuses as Connection::write, and: too_large (above the connection's max_message; nothing was sent), closed (an
  /// earlier send broke off inside a message). After would_block, timed_out and interrupted with nothing of it written
  /// the message can be sent again.
  [[gnu::always_inline]] Status send(ConstBytes message, Deadline deadline) {
    // In shared memory the stores to the ring wait in the processor's store buffer for lines of the reader's cache, and
    // all later ones wait behind them. So nothing here is stored that need not be: no register saved, no view returned.
    if (message.size() >= quick_below_ || !connection_.has_ample_room()) [[unlikely]]
      return send_slowly(message, deadline);
    std::byte* const room = connection_.room_at_;
    fetch_for_writing(room + fetch_ahead_bytes);
    return connection_.publish(room, write_small_aligned_frame(message, room));
  }
  /// `sent` counts whole messages written, or held back while corked.
  Status send_many(std::span<const ConstBytes> messages, std::size_t& sent, Deadline deadline);
  void cork() noexcept;
  Status uncork(Deadline deadline);
  /// Corked messages wait here to be sent.
  bool holds_back() const noexcept { return staged_ > 0 && !broken_; }

  static constexpr std::size_t stack_limit = 2048;
  /// What a frame needs beside its payload, at most.
  static constexpr std::size_t frame_overhead = max_frame_header_bytes + frame_alignment_bytes;
  static constexpr std::size_t fetch_ahead_bytes = 2048;  // of what is lent: lines that are stored to later
  static_assert(fetch_ahead_bytes < Connection::ample_room_bytes);
  static constexpr std::size_t staging_bytes = std::size_t{128} << 10;  // of the spare buffer
  static constexpr std::size_t cork_bytes = std::size_t{64} << 10;      // a cork lets go at this much
  static constexpr std::size_t pack_limit = 4096;  // larger messages are written from where they are
  static constexpr std::size_t lent_batch_bytes = std::size_t{16} << 10;  // committed at once: the reader starts early

 private:
  struct Batch;
  Status send_slowly(ConstBytes message, Deadline deadline);
  Status send_gathered(ConstBytes message, Deadline deadline);
  Status send_otherwise(ConstBytes message, Deadline deadline);
  Status send_record(ConstBytes message, Deadline deadline);
  Status failed(IoResult result) noexcept;
  Status send_many_lent(std::span<const ConstBytes> messages, std::size_t& sent, Deadline deadline);
  std::size_t pack(std::span<const ConstBytes> messages, MutableBytes room, std::size_t& filled) const noexcept;
  void add_large(Batch& batch, ConstBytes message) noexcept;
  Status flush(Batch& batch, Deadline deadline, std::size_t& written);
  std::size_t whole_frames(std::span<const ConstBytes> messages, std::size_t bytes) const noexcept;
  void update_plain() noexcept;

  Connection& connection_;
  std::uint64_t max_message_;
  // Bytes from which on send does not build its frame in what is lent already, and in what it is lent at all. 0: never.
  std::size_t quick_below_ = 0;
  std::size_t lent_below_ = 0;
  FrameFormat format_;
  bool plain_ = true;  // frames on a stream, not broken, nothing held back
  bool lends_ = false;
  bool corked_ = false;
  bool broken_ = false;
  std::size_t gather_limit_;  // bytes up to which a message is put together with its header
  Memory staging_;
  std::size_t staged_ = 0;
};

}  // namespace ferry

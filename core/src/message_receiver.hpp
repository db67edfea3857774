// The receiving half of a channel: messages out of a connection, as views.
//
// On a byte stream bytes are read into one buffer and messages viewed where they came to lie. The buffer is the
// thread's spare one (spare_buffer.hpp). A message that does not fit makes it grow as bytes arrive, at most fourfold
// each time, so that a length alone costs a peer's victim nothing; the rest of such a message is read at its exact
// size, so that nothing of the next one has to be moved. Where the transport lends, messages up to max_view are viewed
// in its memory, which is given back when the view is used up, or 32 KiB of it. Framing state is nothing but the bytes
// not yet parsed: a receive that times out is resumed by the next.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ferry/connection.hpp"
#include "frame.hpp"

namespace ferry {

/// Belongs to the connection's reader. The connection outlives it and is not moved.
class MessageReceiver {
 public:
  explicit MessageReceiver(Connection& connection);
  ~MessageReceiver();
  MessageReceiver(const MessageReceiver&) = delete;
  MessageReceiver& operator=(const MessageReceiver&) = delete;

  /// At least one message, and those that came with it, up to messages.size() (at least 1). Views are valid until the
  /// next call. Statuses as Connection::read, and: too_large (above max_message), protocol (malformed frame), reset
  /// (the peer ended inside a message). After one of these the stream is of no more use; after would_block, timed_out
  /// and interrupted the next call goes on. A call that would block while nothing, or little, has arrived leaves no
  /// buffer behind.
  Status receive(std::span<ConstBytes> messages, std::size_t& received, Deadline deadline);
  Status receive_one(ConstBytes& message, Deadline deadline);

  std::uint64_t max_message() const noexcept { return max_message_; }
  void set_max_message(std::uint64_t bytes) noexcept {
    max_message_ = bytes;
    longest_simple_ = std::min(bytes, python_short_limit);
  }

 private:
  struct Parsed {
    Status status = Status::would_block;  // would_block: `wanted` bytes are needed for the first message
    std::size_t messages = 0;
    std::size_t bytes = 0;  // of the messages' frames
    std::uint64_t wanted = 0;
  };
  Parsed parse(ConstBytes bytes, std::span<ConstBytes> messages) noexcept;
  const std::byte* parse_simple(const std::byte* at, const std::byte* limit, std::span<ConstBytes> messages,
                                std::size_t& parsed) noexcept;
  template <FrameFormat format>
  const std::byte* parse_simple_as(const std::byte* at, const std::byte* limit, std::span<ConstBytes> messages,
                                   std::size_t& parsed) noexcept;
  Status receive_otherwise(std::span<ConstBytes> messages, std::size_t& received, Deadline deadline);
  Status receive_buffered(std::span<ConstBytes> messages, std::size_t& received, Deadline deadline);
  Status receive_lent(std::span<ConstBytes> messages, std::size_t& received, Deadline deadline);
  std::size_t given_out() const noexcept { return static_cast<std::size_t>(lent_at_ - lent_begin_); }
  void give_back() noexcept;
  bool take_lent(ConstBytes& message) noexcept;
  Status receive_records(std::span<ConstBytes> messages, std::size_t& received, Deadline deadline);
  Status read_record(ConstBytes& message, Deadline deadline);
  Status fill(std::uint64_t wanted, Deadline deadline);
  void make_room(std::uint64_t wanted);
  void set_capacity(std::size_t capacity);
  void leave_little() noexcept;
  void release() noexcept;
  std::size_t unread() const noexcept { return end_ - begin_; }

  Connection& connection_;
  std::uint64_t max_message_;
  std::uint64_t longest_simple_;  // of the messages whose frames need no second look
  FrameFormat format_;
  std::uint64_t max_view_;  // 0: the transport does not lend a stream
  // Of the transport's view: given out up to `lent_at_`. Pointers that each change alone: of a span, both halves would
  // be stored one by one and loaded as one, which the processor cannot forward.
  const std::byte* lent_begin_ = nullptr;
  const std::byte* lent_at_ = nullptr;
  const std::byte* lent_end_ = nullptr;
  LikelySize likely_size_;
  Memory memory_;
  std::size_t capacity_ = 0;  // spare_buffer_bytes: it is the spare buffer
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint32_t fills_since_large_ = 0;
};

}  // namespace ferry

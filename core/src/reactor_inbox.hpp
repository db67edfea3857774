// Cuts the bytes that arrive on one connection into messages. Does no I/O.
//
// Whole messages are delivered in place, out of the reactor's shared read buffer or the transport's own memory. Only
// what is left over - the start of one message, or what arrived before reading was paused - is kept, in memory that
// grows with the bytes that arrived (to at most twice as much, or to the reactor's one spare block), never with the
// length that a peer announces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "ferry/connection.hpp"
#include "frame.hpp"

namespace ferry {

/// One block that the inboxes of a reactor hand on: a stream of large messages then neither allocates per message nor
/// copies while a message grows. Only messages of which 64 KiB have arrived take it.
struct SpareBlock {
  static constexpr std::size_t limit_bytes = 4u << 20;  ///< larger blocks go back to the system
  std::unique_ptr<std::byte[]> memory;
  std::size_t capacity = 0;
};

class Inbox {
 public:
  /// `spare` outlives it.
  Inbox(FrameFormat format, std::uint64_t max_message, SpareBlock& spare) noexcept
      : format_(format), max_message_(max_message), spare_(spare) {}

  /// Delivers messages from what is kept and then from `bytes`, by `deliver(ConstBytes) -> bool`; false stops it. On
  /// return `bytes` is what was not used: empty, unless it was stopped. Returns ok, or why the peer's framing is
  /// refused.
  template <class Deliver>
  Status feed(ConstBytes& bytes, Deliver&& deliver);
  /// Keeps what feed() left.
  void keep(ConstBytes bytes);

  /// Nothing is kept: the peer may end here.
  bool empty() const noexcept { return begin_ == end_; }

  /// Memory at the end of a large unfinished message, for reading straight into; empty when that would not pay.
  MutableBytes spare();
  /// Says how much was read into spare(); to be followed by feed().
  void filled(std::size_t size) noexcept { end_ += size; }

  std::size_t capacity() const noexcept { return capacity_; }

 private:
  static constexpr std::size_t direct_bytes = 64u << 10;  // below it a copy costs less than a system call

  ConstBytes kept() const noexcept { return {memory_.get() + begin_, end_ - begin_}; }
  void reserve(std::size_t total, std::size_t at_most);
  void drop(std::size_t size) noexcept;

  FrameFormat format_;
  std::uint64_t max_message_;
  SpareBlock& spare_;
  std::unique_ptr<std::byte[]> memory_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

template <class Deliver>
Status Inbox::feed(ConstBytes& bytes, Deliver&& deliver) {
  while (!empty()) {
    FrameHead head;
    const Status status = read_frame_head(format_, kept(), max_message_, head);
    if (status != Status::ok && status != Status::would_block) return status;
    if (head.total > kept().size()) {
      const std::size_t missing = static_cast<std::size_t>(head.total) - kept().size();
      const std::size_t part = missing < bytes.size() ? missing : bytes.size();
      if (part == 0) return Status::ok;
      reserve(kept().size() + part, static_cast<std::size_t>(head.total));
      keep(bytes.first(part));
      bytes = bytes.subspan(part);
      continue;
    }
    const bool more = deliver(kept().subspan(head.header, static_cast<std::size_t>(head.payload)));
    drop(static_cast<std::size_t>(head.total));
    if (!more) return Status::ok;
  }
  // Copies, which stay in registers though a handler may do anything.
  const FrameFormat format = format_;
  const std::uint64_t max_message = max_message_;
  ConstBytes rest = std::exchange(bytes, {});
  while (!rest.empty()) {
    FrameHead head;
    const Status status = read_frame_head(format, rest, max_message, head);
    if (status != Status::ok && status != Status::would_block) return status;
    if (head.total > rest.size()) {
      keep(rest);
      return Status::ok;
    }
    const ConstBytes message = rest.subspan(head.header, static_cast<std::size_t>(head.payload));
    rest = rest.subspan(static_cast<std::size_t>(head.total));
    if (!deliver(message)) {
      bytes = rest;
      return Status::ok;
    }
  }
  return Status::ok;
}

}  // namespace ferry

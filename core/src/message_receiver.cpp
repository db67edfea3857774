#include "message_receiver.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "spare_buffer.hpp"

namespace ferry {

namespace {

/// Frames above this are read at their exact size; below, whatever has arrived is read with them.
constexpr std::uint64_t exact_read_above_bytes = 32u << 10;
/// What a stalled peer may leave behind of a message before it costs a whole buffer.
constexpr std::size_t little_bytes = 4096;
constexpr std::size_t fetch_ahead_bytes = 1024;
/// Of a lent view: the sender has its room back after so much, though more is there to be parsed.
constexpr std::size_t give_back_bytes = 32u << 10;
/// Fills of an empty buffer, since the last large message, after which a grown buffer is given back.
constexpr std::uint32_t fills_to_shrink = 32;

bool may_go_on(Status status) noexcept {
  return status == Status::would_block || status == Status::timed_out || status == Status::interrupted;
}

}  // namespace

MessageReceiver::MessageReceiver(Connection& connection) : connection_(connection) {
  set_max_message(connection.settings().max_message);
  const ferry_connection_info facts = connection.info();
  format_ = frame_format_of(facts);
  max_view_ = connection.lends() && facts.kind == FERRY_STREAM ? facts.max_view : 0;
}

MessageReceiver::~MessageReceiver() { release(); }

/// Whole frames by the thousand: nothing but a load, two tests and a store for each. Stops at the first that is not
/// whole, or not so simple, and returns where.
template <FrameFormat format>
const std::byte* MessageReceiver::parse_simple_as(const std::byte* at, const std::byte* limit,
                                                  std::span<ConstBytes> messages, std::size_t& parsed) noexcept {
  constexpr std::size_t header = format == FrameFormat::python ? python_header_bytes : aligned_header_bytes;
  const std::uint64_t longest = longest_simple_;
  LikelySize likely_size = likely_size_;  // in a register
  std::size_t count = 0;
  for (; count < messages.size(); ++count) {
    const auto left = static_cast<std::size_t>(limit - at);
    if (left < header) break;
    const std::uint64_t size = format == FrameFormat::python ? load_big_endian_32(at) : load_big_endian_64(at);
    if (size > longest || size + frame_padding(format, size) > left - header) break;
    // In shared memory lines come from the writer's cache. The processor fetches ahead by itself, but not over pages.
    if (left > fetch_ahead_bytes) __builtin_prefetch(at + fetch_ahead_bytes);
    const std::uint64_t guess = likely_size.take(size);
    messages[count] = {at + header, static_cast<std::size_t>(guess)};
    at += header + guess + frame_padding(format, guess);
  }
  likely_size_ = likely_size;
  parsed = count;
  return at;
}

const std::byte* MessageReceiver::parse_simple(const std::byte* at, const std::byte* limit,
                                               std::span<ConstBytes> messages, std::size_t& parsed) noexcept {
  return format_ == FrameFormat::python ? parse_simple_as<FrameFormat::python>(at, limit, messages, parsed)
                                        : parse_simple_as<FrameFormat::aligned>(at, limit, messages, parsed);
}

Status MessageReceiver::receive(std::span<ConstBytes> messages, std::size_t& received, Deadline deadline) {
  received = 0;
  if (messages.empty()) return Status::invalid;
  if (lent_at_ != lent_end_ && given_out() < give_back_bytes) {
    lent_at_ = parse_simple(lent_at_, lent_end_, messages, received);
    if (received > 0) return Status::ok;
  }
  if (max_view_ > 0 && unread() == 0) {
    // The common case before all others: whole messages are there, or come while we spin.
    give_back();
    ConstBytes view;
    const Status status = connection_.peek(view, python_header_bytes, deadline);
    if (status == Status::ok) {
      lent_begin_ = view.data();
      lent_end_ = lent_begin_ + view.size();
      lent_at_ = parse_simple(lent_begin_, lent_end_, messages, received);
      if (received > 0) return Status::ok;
      lent_begin_ = lent_at_ = lent_end_ = nullptr;
    } else if (status != Status::end) {
      return status;
    }
  }
  return receive_otherwise(messages, received, deadline);
}

/// The next message of the view, if it is one that parse_simple would take.
inline bool MessageReceiver::take_lent(ConstBytes& message) noexcept {
  const bool aligned = format_ == FrameFormat::aligned;
  const std::size_t header = aligned ? aligned_header_bytes : python_header_bytes;
  const auto left = static_cast<std::size_t>(lent_end_ - lent_at_);
  if (left < header) return false;
  const std::uint64_t size = likely_size_.take(aligned ? load_big_endian_64(lent_at_) : load_big_endian_32(lent_at_));
  if (size > longest_simple_) return false;
  const std::size_t frame = short_frame_size(format_, size);
  if (frame > left) return false;
  if (left > fetch_ahead_bytes) __builtin_prefetch(lent_at_ + fetch_ahead_bytes);
  message = {lent_at_ + header, static_cast<std::size_t>(size)};
  lent_at_ += frame;
  return true;
}

/// As `receive` of one. Between a message's arrival and the answer to it nothing else happens, so this is short.
Status MessageReceiver::receive_one(ConstBytes& message, Deadline deadline) {
  if (lent_at_ != lent_end_ && given_out() < give_back_bytes && take_lent(message)) return Status::ok;
  if (max_view_ > 0 && unread() == 0) {
    give_back();
    ConstBytes view;
    const Status status = connection_.peek(view, python_header_bytes, deadline);
    if (status == Status::ok) {
      lent_begin_ = lent_at_ = view.data();
      lent_end_ = lent_begin_ + view.size();
      if (take_lent(message)) return Status::ok;
      lent_begin_ = lent_at_ = lent_end_ = nullptr;
    } else if (status != Status::end) {
      return status;
    }
  }
  std::size_t received = 0;
  return receive_otherwise({&message, 1}, received, deadline);
}

Status MessageReceiver::receive_otherwise(std::span<ConstBytes> messages, std::size_t& received,
                                          Deadline deadline) try {
  if (connection_.kind() == FERRY_RECORDS) return receive_records(messages, received, deadline);
  if (max_view_ > 0 && unread() == 0) return receive_lent(messages, received, deadline);
  return receive_buffered(messages, received, deadline);
} catch (const std::bad_alloc&) {
  return Status::no_resources;
}

MessageReceiver::Parsed MessageReceiver::parse(ConstBytes bytes, std::span<ConstBytes> messages) noexcept {
  Parsed parsed;
  const std::byte* at = bytes.data();
  const std::byte* const limit = at + bytes.size();
  const auto left = [&] { return static_cast<std::size_t>(limit - at); };
  at = parse_simple(at, limit, messages, parsed.messages);
  while (parsed.messages < messages.size()) {
    FrameHead head;
    const Status status = read_frame_head(format_, {at, left()}, max_message_, head);
    if (status != Status::ok || head.total > left()) {
      if (status != Status::ok) parsed.status = status;
      parsed.wanted = head.total;
      break;
    }
    messages[parsed.messages++] = {at + head.header, static_cast<std::size_t>(head.payload)};
    at += head.total;
  }
  if (parsed.messages > 0) parsed.status = Status::ok;
  parsed.bytes = bytes.size() - left();
  return parsed;
}

Status MessageReceiver::receive_buffered(std::span<ConstBytes> messages, std::size_t& received, Deadline deadline) {
  for (;;) {
    const Parsed parsed = parse({memory_.get() + begin_, unread()}, messages);
    if (parsed.status == Status::ok) {
      begin_ += parsed.bytes;
      received = parsed.messages;
      return Status::ok;
    }
    if (parsed.status != Status::would_block) return parsed.status;
    const Status status = fill(parsed.wanted, deadline);
    if (status != Status::ok) return status;
  }
}

/// Consumes what was given out, then waits until the next message is whole.
Status MessageReceiver::receive_lent(std::span<ConstBytes> messages, std::size_t& received, Deadline deadline) {
  for (std::uint64_t wanted = python_header_bytes;;) {
    give_back();
    if (wanted > max_view_) {
      const Status status = fill(wanted, deadline);
      return status != Status::ok ? status : receive_buffered(messages, received, deadline);
    }
    ConstBytes view;
    const Status status = connection_.peek(view, wanted, deadline);
    if (status == Status::end && connection_.peek(view, 1, Deadline::no_wait()) == Status::ok) return Status::reset;
    if (status != Status::ok) return status;
    const Parsed parsed = parse(view, messages);
    if (parsed.status == Status::ok) {
      lent_begin_ = view.data();
      lent_at_ = lent_begin_ + parsed.bytes;
      lent_end_ = lent_begin_ + view.size();
      received = parsed.messages;
      return Status::ok;
    }
    if (parsed.status != Status::would_block) return parsed.status;
    wanted = parsed.wanted;
  }
}

/// Consumes what was given out, after which no view is valid.
void MessageReceiver::give_back() noexcept {
  if (lent_begin_ == nullptr) return;
  connection_.consume(given_out());
  lent_begin_ = lent_at_ = lent_end_ = nullptr;
}

/// Reads once, towards a frame of `wanted` bytes.
Status MessageReceiver::fill(std::uint64_t wanted, Deadline deadline) {
  make_room(wanted);
  std::size_t size = capacity_ - end_;
  const bool large = wanted > exact_read_above_bytes;
  if (large || max_view_ > 0) size = static_cast<std::size_t>(std::min<std::uint64_t>(size, wanted - unread()));
  const IoResult result = connection_.read({memory_.get() + end_, size}, deadline);
  end_ += result.size;
  if (result) return Status::ok;
  if (result.status == Status::end && unread() > 0) return Status::reset;
  if (may_go_on(result.status)) leave_little();
  return result.status;
}

void MessageReceiver::make_room(std::uint64_t wanted) {
  if (unread() == 0) {
    begin_ = end_ = 0;
    if (capacity_ > spare_buffer_bytes && ++fills_since_large_ > fills_to_shrink) release();
  }
  if (wanted > spare_buffer_bytes) fills_since_large_ = 0;
  if (begin_ > 0 && begin_ + wanted > capacity_) {
    std::memmove(memory_.get(), memory_.get() + begin_, unread());
    end_ -= std::exchange(begin_, 0);
  }
  if (end_ == capacity_) {
    const std::size_t most = std::max(spare_buffer_bytes, 4 * capacity_);
    set_capacity(std::max(spare_buffer_bytes, static_cast<std::size_t>(std::min<std::uint64_t>(wanted, most))));
  }
}

/// Keeps what is unread, which is at the front.
void MessageReceiver::set_capacity(std::size_t capacity) {
  const bool from_malloc = memory_ != nullptr && capacity_ != spare_buffer_bytes;
  if (from_malloc && capacity != spare_buffer_bytes) {  // the kernel can move pages instead of copying them
    void* moved = std::realloc(memory_.get(), capacity);
    if (moved == nullptr) throw std::bad_alloc();
    (void)memory_.release();
    memory_.reset(static_cast<std::byte*>(moved));
    capacity_ = capacity;
    return;
  }
  Memory memory = capacity == spare_buffer_bytes ? take_spare_buffer() : allocate_memory(capacity);
  const std::size_t kept = end_;
  if (kept > 0) std::memcpy(memory.get(), memory_.get(), kept);
  release();
  memory_ = std::move(memory);
  capacity_ = capacity;
  end_ = kept;
}

/// Before the caller goes away for an unknown time: keeps as little memory as what is unread needs.
void MessageReceiver::leave_little() noexcept {
  if (unread() == 0) return release();
  if (unread() > little_bytes || capacity_ != spare_buffer_bytes) return;
  const std::size_t kept = unread();
  auto* little = static_cast<std::byte*>(std::malloc(kept));
  if (little == nullptr) return;  // then the buffer stays; nothing is lost
  std::memcpy(little, memory_.get() + begin_, kept);
  release();
  memory_.reset(little);
  capacity_ = end_ = kept;
}

void MessageReceiver::release() noexcept {
  if (capacity_ == spare_buffer_bytes) give_spare_buffer(std::move(memory_));
  memory_.reset();
  capacity_ = begin_ = end_ = 0;
  fills_since_large_ = 0;
}

Status MessageReceiver::receive_records(std::span<ConstBytes> messages, std::size_t& received, Deadline deadline) {
  begin_ = end_ = 0;
  if (memory_ == nullptr) set_capacity(spare_buffer_bytes);
  Status status = read_record(messages[0], deadline);
  while (status == Status::too_large && capacity_ < max_message_) {
    set_capacity(static_cast<std::size_t>(std::min<std::uint64_t>(max_message_, 4 * capacity_)));
    status = read_record(messages[0], deadline);
  }
  if (status == Status::ok && messages[0].size() > max_message_) status = Status::too_large;
  if (may_go_on(status)) release();
  if (status != Status::ok) return status;
  for (received = 1; received < messages.size(); ++received) {
    if (read_record(messages[received], Deadline::no_wait()) != Status::ok) break;
  }
  return Status::ok;
}

Status MessageReceiver::read_record(ConstBytes& message, Deadline deadline) {
  const IoResult result = connection_.read({memory_.get() + end_, capacity_ - end_}, deadline);
  if (result) message = {memory_.get() + end_, result.size};
  end_ += result.size;
  return result.status;
}

}  // namespace ferry

#include "message_sender.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "spare_buffer.hpp"

namespace ferry {

namespace {

static_assert(MessageSender::staging_bytes <= spare_buffer_bytes);
/// A batch is written when it holds this much, so that a long list starts to leave early.
constexpr std::size_t batch_bytes = std::size_t{1} << 20;

}  // namespace

/// Pieces of one gathered write: parts of the staging buffer and large payloads, in order.
struct MessageSender::Batch {
  std::array<ConstBytes, FERRY_MAX_IOVECS> pieces;
  std::size_t count = 0;
  std::size_t bytes = 0;
  std::size_t staged_from = 0;  // staging bytes before it are in `pieces`

  void add(ConstBytes piece) noexcept {
    if (piece.empty()) return;
    pieces[count++] = piece;
    bytes += piece.size();
  }
  void add_staged(const Memory& staging, std::size_t staged) noexcept {
    add({staging.get() + staged_from, staged - staged_from});
    staged_from = staged;
  }
  /// A large message takes two pieces, and what is staged after it one more.
  bool is_full() const noexcept { return count + 3 > pieces.size() || bytes >= batch_bytes; }
};

MessageSender::MessageSender(Connection& connection)
    : connection_(connection), max_message_(connection.settings().max_message) {
  const ferry_connection_info facts = connection.info();
  format_ = frame_format_of(facts);
  lends_ = connection.lends() && facts.max_view >= pack_limit + frame_overhead;
  gather_limit_ = static_cast<std::size_t>(std::min<std::uint64_t>(stack_limit, max_message_));
  update_plain();
}

MessageSender::~MessageSender() { give_spare_buffer(std::move(staging_)); }

void MessageSender::update_plain() noexcept {
  plain_ = connection_.kind() == FERRY_STREAM && !corked_ && !broken_ && staged_ == 0;
  lent_below_ = plain_ && lends_ ? gather_limit_ + 1 : 0;
  quick_below_ = format_ == FrameFormat::aligned ? std::min(lent_below_, small_payload_bytes + 1) : 0;
}

Status MessageSender::failed(IoResult result) noexcept {
  if (result.size > 0) {
    broken_ = true;
    update_plain();
  }
  return result.status;
}

Status MessageSender::send_slowly(ConstBytes message, Deadline deadline) {
  if (message.size() >= lent_below_) return send_gathered(message, deadline);
  MutableBytes room;
  const Status reserved = connection_.reserve(room, message.size() + frame_overhead, deadline);
  return reserved == Status::ok ? connection_.commit(write_frame(format_, message, room.data())) : reserved;
}

Status MessageSender::send_gathered(ConstBytes message, Deadline deadline) {
  if (!plain_ || message.size() > gather_limit_) [[unlikely]]
    return send_otherwise(message, deadline);
  std::byte frame[frame_overhead + stack_limit];
  const IoResult result = connection_.write({frame, write_frame(format_, message, frame)}, deadline);
  return result ? Status::ok : failed(result);
}

Status MessageSender::send_otherwise(ConstBytes message, Deadline deadline) {
  if (connection_.kind() == FERRY_RECORDS) return send_record(message, deadline);
  if (corked_ || staged_ > 0 || message.size() > max_message_ || broken_) {
    std::size_t sent = 0;
    return send_many({&message, 1}, sent, deadline);
  }
  static constexpr std::byte zeros[frame_alignment_bytes] = {};
  std::byte header[max_frame_header_bytes];
  const ConstBytes pieces[] = {{header, write_frame_header(format_, message.size(), header)},
                               message,
                               {zeros, frame_padding(format_, message.size())}};
  const IoResult result = connection_.write(pieces, deadline);
  return result ? Status::ok : failed(result);
}

Status MessageSender::send_record(ConstBytes message, Deadline deadline) {
  if (message.size() > max_message_) return Status::too_large;
  return connection_.write({&message, 1}, deadline, corked_).status;
}

Status MessageSender::send_many(std::span<const ConstBytes> messages, std::size_t& sent, Deadline deadline) {
  sent = 0;
  if (broken_) return Status::closed;
  if (connection_.kind() == FERRY_RECORDS) {
    for (; sent < messages.size(); ++sent) {
      const Status status = send_record(messages[sent], deadline);
      if (status != Status::ok) return status;
    }
    return Status::ok;
  }
  if (lends_ && !corked_ && staged_ == 0) return send_many_lent(messages, sent, deadline);
  if (staging_ == nullptr) {
    try {
      staging_ = take_spare_buffer();
    } catch (const std::bad_alloc&) {
      return Status::no_resources;
    }
  }
  Batch batch;
  std::size_t carried = staged_;  // of earlier calls, corked
  std::size_t next = 0;
  Status status = Status::ok;
  do {
    const std::size_t room = corked_ ? cork_bytes : staging_bytes;
    next += pack(messages.subspan(next), {staging_.get(), room}, staged_);
    bool full = batch.is_full();
    if (next < messages.size()) {
      const ConstBytes message = messages[next];
      const bool large = message.size() > pack_limit;
      if (message.size() > max_message_) {
        status = Status::too_large;
      } else if (!large || full || staged_ + frame_overhead > staging_bytes) {
        full = true;
      } else {
        add_large(batch, message);
        ++next;
        full = batch.is_full();
      }
    }
    const bool last = next == messages.size() || status != Status::ok;
    if (!full && !(last && (!corked_ || batch.count > 0))) continue;
    std::size_t written = 0;
    const Status flushed = flush(batch, deadline, written);
    if (flushed != Status::ok) {
      sent += whole_frames(messages.subspan(sent, next - sent), written - std::min(written, carried));
      staged_ = carried;  // where nothing was written, the caller may send these messages again
      update_plain();
      return flushed;
    }
    carried = 0;
    sent = next;
  } while (status == Status::ok && next < messages.size());
  sent = next;
  if (staged_ == 0) give_spare_buffer(std::move(staging_));
  update_plain();
  return status;
}

/// Frames are built in the transport's memory and committed while they gather; large messages are written.
Status MessageSender::send_many_lent(std::span<const ConstBytes> messages, std::size_t& sent, Deadline deadline) {
  while (sent < messages.size()) {
    const ConstBytes first = messages[sent];
    if (first.size() > std::min<std::uint64_t>(pack_limit, max_message_)) {
      const Status status = send_otherwise(first, deadline);
      if (status != Status::ok) return status;
      ++sent;
      continue;
    }
    MutableBytes room;
    const Status reserved = connection_.reserve(room, first.size() + frame_overhead, deadline);
    if (reserved != Status::ok) return reserved;
    std::size_t filled = 0;
    const std::size_t batch = std::max(lent_batch_bytes, first.size() + frame_overhead);
    const std::size_t packed = pack(messages.subspan(sent), room.first(std::min(room.size(), batch)), filled);
    const Status committed = connection_.commit(filled, deadline);
    if (committed != Status::ok) return committed;
    sent += packed;
  }
  return Status::ok;
}

/// Builds the frames of messages from the front of the list behind room[0…filled), as long as they are small and fit;
/// returns how many.
std::size_t MessageSender::pack(std::span<const ConstBytes> messages, MutableBytes room,
                                std::size_t& filled) const noexcept {
  const std::size_t longest = static_cast<std::size_t>(std::min<std::uint64_t>(pack_limit, max_message_));
  const std::size_t quick_below = format_ == FrameFormat::aligned ? small_payload_bytes + 1 : 0;
  std::byte* to = room.data() + filled;
  std::byte* const limit = room.data() + room.size() - frame_overhead;
  std::size_t packed = 0;
  for (; packed < messages.size(); ++packed) {
    const ConstBytes message = messages[packed];
    if (message.size() > longest || to + message.size() > limit) break;
    to += message.size() < quick_below ? write_small_aligned_frame(message, to) : write_frame(format_, message, to);
  }
  filled = static_cast<std::size_t>(to - room.data());
  return packed;
}

/// Stages the header, takes the payload as it is; padding starts the next staged piece.
void MessageSender::add_large(Batch& batch, ConstBytes message) noexcept {
  staged_ += write_frame_header(format_, message.size(), staging_.get() + staged_);
  batch.add_staged(staging_, staged_);
  batch.add(message);
  const std::size_t padding = frame_padding(format_, message.size());
  std::memset(staging_.get() + staged_, 0, padding);
  staged_ += padding;
}

/// Writes the batch and empties it. On failure `written` bytes of it went.
Status MessageSender::flush(Batch& batch, Deadline deadline, std::size_t& written) {
  batch.add_staged(staging_, staged_);
  const IoResult result = connection_.write(std::span<const ConstBytes>(batch.pieces.data(), batch.count), deadline);
  written = result.size;
  if (!result) return failed(result);
  staged_ = 0;
  batch.count = batch.bytes = batch.staged_from = 0;
  return Status::ok;
}

std::size_t MessageSender::whole_frames(std::span<const ConstBytes> messages, std::size_t bytes) const noexcept {
  std::size_t whole = 0;
  for (const ConstBytes message : messages) {
    const std::size_t frame =
        frame_header_size(format_, message.size()) + message.size() + frame_padding(format_, message.size());
    if (frame > bytes) break;
    bytes -= frame;
    ++whole;
  }
  return whole;
}

void MessageSender::cork() noexcept {
  corked_ = true;
  update_plain();
}

Status MessageSender::uncork(Deadline deadline) {
  corked_ = false;
  std::size_t sent = 0;
  return send_many({}, sent, deadline);
}

}  // namespace ferry

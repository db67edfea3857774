// The writing half of ConnectionDriver: queue, flush, back-pressure.
#include <algorithm>
#include <array>
#include <utility>

#include "reactor_connection.hpp"

namespace ferry {

bool ConnectionDriver::write(ConstBytes bytes) {
  if (!accepts_writes()) return false;
  return record_sizes_ != nullptr ? send_record(bytes) : queue({{}, bytes, {}, nullptr});
}

bool ConnectionDriver::send(ConstBytes message) {
  if (queue_.append_small(message)) return true;
  if (!accepts_writes()) return false;
  if (record_sizes_ != nullptr) return send_record(message);
  const bool below = send_framed(message, nullptr);
  if (in_to_flush_ && accepts_writes()) queue_.open_window(quick_limits_[blocked_ ? 1 : 0]);
  return below;
}

bool ConnectionDriver::send(const SharedBytes& message) {
  if (message.bytes.size() < flush_early_bytes || record_sizes_ != nullptr) return send(message.bytes);
  return accepts_writes() && send_framed(message.bytes, &message.owner);
}

bool ConnectionDriver::send_framed(ConstBytes payload, const std::shared_ptr<const void>* owner) {
  static constexpr std::array<std::byte, frame_alignment_bytes> zeros{};
  std::array<std::byte, max_frame_header_bytes> header;
  const std::size_t header_size = write_frame_header(format_, payload.size(), header.data());
  return queue({ConstBytes(header).first(header_size), payload,
                ConstBytes(zeros).first(frame_padding(format_, payload.size())), owner});
}

bool ConnectionDriver::queue(const Framed& message) {
  if (message.payload.size() < flush_early_bytes || !write_through(message)) {
    keep(message);
  }
  return below_high_watermark();
}

void ConnectionDriver::keep(const Framed& message) {
  if (message.owner == nullptr || message.payload.empty()) {
    queue_.append(message.header, message.payload, message.padding);
  } else {
    queue_.append_shared(message.header, {message.payload, *message.owner}, message.padding);
  }
}

bool ConnectionDriver::send_record(ConstBytes record) {
  if (record.size() > connection_.info().max_record) {
    throw Error(Status::too_large, "send", connection_.descriptor(), "the record is above the transport's limit");
  }
  record_sizes_->push_back(record.size());
  queue_.append({}, record, {});
  return below_high_watermark();
}

bool ConnectionDriver::below_high_watermark() {
  schedule_flush();
  if (queue_.size() >= flush_early_bytes && !blocked_) flush();
  if (queue_.size() <= limits_.write_high_watermark) return true;
  above_ = true;
  return false;
}

/// Offers a large message to the transport before copying any of it; what is not taken is queued. False: not possible.
bool ConnectionDriver::write_through(const Framed& message) {
  if (blocked_) return false;
  std::array<ferry_iovec, FERRY_MAX_IOVECS> pieces;
  std::uint32_t count = queue_.gather(std::span(pieces).first(pieces.size() - 3));
  std::size_t before = 0;
  for (std::uint32_t i = 0; i < count; ++i) before += static_cast<std::size_t>(pieces[i].size);
  if (before != queue_.size()) return false;
  for (const ConstBytes piece : {message.header, message.payload, message.padding}) {
    if (!piece.empty()) pieces[count++] = {piece.data(), piece.size()};
  }
  const std::int64_t result = ops_->write(raw_, pieces.data(), count, 0, FERRY_NO_WAIT);
  if (result <= 0 && result != FERRY_WOULD_BLOCK) {
    fail(static_cast<Status>(result));
    return true;
  }
  std::size_t taken = result > 0 ? static_cast<std::size_t>(result) : 0;
  const bool all = taken == before + message.size();
  const auto cut = [&taken](ConstBytes piece) {
    const std::size_t part = std::min(taken, piece.size());
    taken -= part;
    return piece.subspan(part);
  };
  const std::size_t old = std::min(taken, before);
  taken -= old;
  queue_.consume(old);
  const ConstBytes header = cut(message.header);
  const ConstBytes payload = cut(message.payload);
  keep({header, payload, cut(message.padding), message.owner});
  if (!all) (void)wait_for_room();
  return true;
}

/// Writes what the transport takes. False: it takes no more for now, or has failed.
bool ConnectionDriver::flush() {
  std::array<ferry_iovec, FERRY_MAX_IOVECS> pieces;
  for (int ready = 0; !queue_.empty() || (record_sizes_ != nullptr && !record_sizes_->empty());) {
    if (record_sizes_ != nullptr) {
      if (!flush_record()) return false;
      continue;
    }
    const std::uint32_t count = queue_.gather(pieces);
    std::size_t wanted = 0;
    for (std::uint32_t i = 0; i < count; ++i) wanted += static_cast<std::size_t>(pieces[i].size);
    const std::int64_t result = ops_->write(raw_, pieces.data(), count, 0, FERRY_NO_WAIT);
    if (result > 0) queue_.consume(static_cast<std::size_t>(result));
    if (result == static_cast<std::int64_t>(wanted)) continue;
    if (result <= 0 && result != FERRY_WOULD_BLOCK) return fail(static_cast<Status>(result)), false;
    if (!wait_for_room()) return false;
    if (result > 0) {
      ready = 0;
    } else if (++ready == ready_retries) {
      return schedule_flush(), false;
    }
  }
  return true;
}

bool ConnectionDriver::flush_record() {
  std::vector<std::uint64_t>& sizes = *record_sizes_;
  const auto size = static_cast<std::size_t>(sizes[record_first_]);
  std::array<ferry_iovec, FERRY_MAX_IOVECS> pieces;
  std::uint32_t count = queue_.gather(pieces, size);
  if (count == 0) pieces[count++] = {nullptr, 0};
  const bool last = record_first_ + 1 == sizes.size();
  const std::int64_t result = ops_->write(raw_, pieces.data(), count, last ? 0 : FERRY_WRITE_MORE, FERRY_NO_WAIT);
  if (result == FERRY_WOULD_BLOCK) {
    if (wait_for_room()) schedule_flush();
    return false;
  }
  if (result < 0) return fail(static_cast<Status>(result)), false;
  queue_.consume(size);
  if (last) {
    sizes.clear();
    record_first_ = 0;
  } else if (++record_first_ >= 1024) {
    sizes.erase(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(std::exchange(record_first_, 0)));
  }
  return true;
}

/// True: the transport can take more after all. False: its handle will tell, or it has failed.
bool ConnectionDriver::wait_for_room() {
  const std::int32_t answer = ops_->arm(raw_, FERRY_WRITE);
  if (answer == FERRY_READY) return true;
  if (answer < 0) return fail(static_cast<Status>(answer)), false;
  blocked_ = wants_room_ = true;
  update_interest();
  return false;
}

/// The transport cannot go on. What the peer sent before that is still delivered: a last answer often comes with it.
void ConnectionDriver::fail(Status status) {
  if (status == Status::ok) status = Status::internal;  // a write of no bytes: the plugin breaks its contract
  queue_.clear();
  if (record_sizes_ != nullptr) record_sizes_->clear();
  record_first_ = 0;
  blocked_ = wants_room_ = false;
  write_shut_ = shut_done_ = true;
  if (phase_ != Phase::open || input_ended_) return end(status, false);
  if (failure_ == Status::ok) failure_ = status;
  schedule_read();
}

void ConnectionDriver::shutdown_write() {
  if (!accepts_writes()) return;
  if (!connection_.half_closes()) {
    throw Error(Status::unsupported, "shutdown_write", connection_.descriptor(), "the transport has no half-close");
  }
  write_shut_ = true;
  queue_.close_window();
  schedule_flush();
}

void ConnectionDriver::half_close() {
  shut_done_ = true;
  const ferry_status status = ops_->shutdown_write(raw_);
  if (status != FERRY_OK) fail(static_cast<Status>(status));
}

}  // namespace ferry

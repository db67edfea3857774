// The frames are those of docs/reference/framing.md: a big-endian length of 4 bytes, or of 8 and then padding to 8
// bytes where the transport asks for aligned frames; on record transports a message is a record.
#include "serve/handshake_wire.hpp"

namespace ferry::host {

HandshakeWire::HandshakeWire(Connection& connection) : connection_(connection) {
  if (connection.kind() == FERRY_RECORDS) {
    header_bytes_ = 0;
  } else if (connection.info().frame_alignment == 8) {
    header_bytes_ = alignment_ = 8;
  }
}

void HandshakeWire::queue(std::string_view message) {
  for (std::size_t i = header_bytes_; i-- > 0;) {
    outgoing_ += static_cast<char>(i < sizeof(std::uint32_t) ? (message.size() >> (8 * i)) & 0xff : 0);
  }
  outgoing_ += message;
  outgoing_.resize((outgoing_.size() + alignment_ - 1) / alignment_ * alignment_);
}

Status HandshakeWire::flush() {
  while (!outgoing_.empty()) {
    const ConstBytes piece = std::as_bytes(std::span(outgoing_));
    const IoResult written = connection_.write_some({&piece, 1}, Deadline::no_wait());
    outgoing_.erase(0, written.size);
    if (!written) return written.status;
  }
  return Status::ok;
}

std::size_t HandshakeWire::payload_size() const noexcept {
  std::size_t size = 0;
  for (std::size_t i = 0; i < header_bytes_; ++i) size = size << 8 | std::to_integer<std::size_t>(incoming_[i]);
  return size;
}

Status HandshakeWire::fill(std::size_t target) {
  while (have_ < target) {
    const IoResult got = connection_.read(MutableBytes(incoming_).subspan(have_, target - have_), Deadline::no_wait());
    have_ += got.size;
    if (!got) return got.status;
  }
  return Status::ok;
}

Status HandshakeWire::receive(ConstBytes& message) {
  if (header_bytes_ == 0) {
    const IoResult got = connection_.read(incoming_, Deadline::no_wait());
    message = ConstBytes(incoming_).first(got.size);
    return got.status;
  }
  if (const Status status = fill(header_bytes_); status != Status::ok) return status;
  const std::size_t size = payload_size();
  if (size > Authentication::max_message_bytes) return Status::protocol;
  const std::size_t whole = header_bytes_ + (size + alignment_ - 1) / alignment_ * alignment_;
  if (const Status status = fill(whole); status != Status::ok) return status;
  message = ConstBytes(incoming_).subspan(header_bytes_, size);
  have_ = 0;
  return Status::ok;
}

}  // namespace ferry::host

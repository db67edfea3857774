#include "quic_frames.hpp"

namespace ferry::quic {
namespace {

/// Reads through a payload; once it has run out, everything it gives is 0 and failed() is true.
class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) noexcept : rest_(bytes) {}
  bool at_end() const noexcept { return rest_.empty(); }
  bool failed() const noexcept { return failed_; }

  std::uint8_t byte() noexcept {
    if (rest_.empty()) return fail();
    const std::uint8_t out = rest_[0];
    rest_ = rest_.subspan(1);
    return out;
  }
  /// A variable-length integer (section 16).
  std::uint64_t integer() noexcept {
    if (rest_.empty()) return fail();
    const std::size_t size = std::size_t{1} << (rest_[0] >> 6);
    if (rest_.size() < size) return fail();
    std::uint64_t out = rest_[0] & 0x3f;
    for (std::size_t i = 1; i < size; ++i) out = out << 8 | rest_[i];
    rest_ = rest_.subspan(size);
    return out;
  }
  void integers(int count) noexcept {
    for (int i = 0; i < count; ++i) (void)integer();
  }
  void skip(std::uint64_t size) noexcept {
    if (size > rest_.size()) {
      (void)fail();
    } else {
      rest_ = rest_.subspan(static_cast<std::size_t>(size));
    }
  }
  void skip_rest() noexcept { rest_ = {}; }

 private:
  std::uint8_t fail() noexcept {
    rest_ = {};
    failed_ = true;
    return 0;
  }
  std::span<const std::uint8_t> rest_;
  bool failed_ = false;
};

void skip_acknowledgement(Reader& reader, bool with_ecn) noexcept {
  reader.integers(2);
  const std::uint64_t ranges = reader.integer();
  (void)reader.integer();
  for (std::uint64_t i = 0; i < ranges && !reader.failed(); ++i) reader.integers(2);
  if (with_ecn) reader.integers(3);
}

void skip_stream(Reader& reader, std::uint8_t type) noexcept {
  (void)reader.integer();
  if ((type & 0x04) != 0) (void)reader.integer();
  if ((type & 0x02) == 0) return reader.skip_rest();
  reader.skip(reader.integer());
}

/// All but STOP_SENDING. False: nothing is known of what follows.
bool skip_frame(Reader& reader, std::uint8_t type) noexcept {
  if (type >= 0x08 && type <= 0x0f) return skip_stream(reader, type), true;
  switch (type) {
    case 0x00:  // PADDING
    case 0x01:  // PING
    case 0x1e:  // HANDSHAKE_DONE
      return true;
    case 0x02:  // ACK
    case 0x03:
      return skip_acknowledgement(reader, type == 0x03), true;
    case 0x04:  // RESET_STREAM
      return reader.integers(3), true;
    case 0x06:  // CRYPTO
      (void)reader.integer();
      return reader.skip(reader.integer()), true;
    case 0x07:  // NEW_TOKEN
      return reader.skip(reader.integer()), true;
    case 0x10:  // MAX_DATA
    case 0x12:  // MAX_STREAMS
    case 0x13:
    case 0x14:  // DATA_BLOCKED
    case 0x16:  // STREAMS_BLOCKED
    case 0x17:
    case 0x19:  // RETIRE_CONNECTION_ID
      return reader.integers(1), true;
    case 0x11:  // MAX_STREAM_DATA
    case 0x15:  // STREAM_DATA_BLOCKED
      return reader.integers(2), true;
    case 0x18:  // NEW_CONNECTION_ID
      reader.integers(2);
      return reader.skip(std::uint64_t{reader.byte()} + 16), true;
    case 0x1a:  // PATH_CHALLENGE
    case 0x1b:  // PATH_RESPONSE
      return reader.skip(8), true;
    case 0x30:  // DATAGRAM
      return reader.skip_rest(), true;
    case 0x31:
      return reader.skip(reader.integer()), true;
    default:
      return false;
  }
}

}  // namespace

void find_stops(std::span<const std::uint8_t> payload, std::vector<StopSending>& out) {
  Reader reader(payload);
  while (!reader.at_end()) {
    const std::uint8_t type = reader.byte();
    if (type != 0x05) {
      if (!skip_frame(reader, type)) return;
      continue;
    }
    const std::uint64_t id = reader.integer();
    const std::uint64_t code = reader.integer();
    if (!reader.failed()) out.push_back({static_cast<std::int64_t>(id), code});
  }
}

}  // namespace ferry::quic

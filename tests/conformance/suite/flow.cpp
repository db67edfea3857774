#include "flow.hpp"

#include <algorithm>
#include <cstring>

namespace ferry::conformance {

namespace {

constexpr std::size_t word_bytes = sizeof(std::uint64_t);

/// How many of `size` bytes at `position` lie in one word of the flow.
std::size_t bytes_in_word(std::uint64_t position, std::size_t size) noexcept {
  return std::min<std::size_t>(size, word_bytes - position % word_bytes);
}

}  // namespace

void fill(std::span<std::uint8_t> bytes, std::uint64_t position, std::uint32_t seed) noexcept {
  while (!bytes.empty()) {
    const std::uint64_t word = pattern_word(position / word_bytes, seed);
    const std::size_t size = bytes_in_word(position, bytes.size());
    std::memcpy(bytes.data(), reinterpret_cast<const std::uint8_t*>(&word) + position % word_bytes, size);
    bytes = bytes.subspan(size);
    position += size;
  }
}

void check(std::span<const std::uint8_t> bytes, std::uint64_t position, std::uint32_t seed) {
  while (!bytes.empty()) {
    const std::uint64_t word = pattern_word(position / word_bytes, seed);
    const std::size_t size = bytes_in_word(position, bytes.size());
    if (std::memcmp(bytes.data(), reinterpret_cast<const std::uint8_t*>(&word) + position % word_bytes, size) != 0) {
      for (std::size_t i = 0; i < size; ++i) {
        require(bytes[i] == pattern(position + i, seed), "byte ", position + i,
                " of the flow arrived wrong: ", int{bytes[i]}, " instead of ", int{pattern(position + i, seed)});
      }
    }
    bytes = bytes.subspan(size);
    position += size;
  }
}

void write_all(Connection& to, std::span<const std::uint8_t> bytes, std::int64_t deadline) {
  while (!bytes.empty()) {
    const std::size_t size = std::min(bytes.size(), to.chunk());
    const std::int64_t sent = to.write(bytes.data(), size, deadline);
    require(sent > 0, "write of ", size, " bytes returned ", result_text(sent));
    require(static_cast<std::uint64_t>(sent) <= size, "write of ", size, " bytes returned ", result_text(sent));
    require(!to.is_records() || static_cast<std::size_t>(sent) == size, "a record was written in part");
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
}

void read_exact(Connection& from, std::span<std::uint8_t> bytes, std::int64_t deadline) {
  const std::size_t wanted = bytes.size();
  while (!bytes.empty()) {
    const std::int64_t got = from.read(bytes.data(), bytes.size(), deadline);
    require(got > 0, "read returned ", result_text(got), " after ", wanted - bytes.size(), " of ", wanted, " bytes");
    require(static_cast<std::uint64_t>(got) <= bytes.size(), "read of ", bytes.size(), " bytes returned ",
            result_text(got));
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

void send_flow(Connection& to, std::uint64_t size, std::uint64_t position, std::uint32_t seed) {
  std::vector<std::uint8_t> bytes(std::min<std::uint64_t>(size, to.chunk()));
  for (std::uint64_t done = 0; done < size;) {
    const auto piece = std::span(bytes).first(std::min<std::uint64_t>(bytes.size(), size - done));
    fill(piece, position + done, seed);
    write_all(to, piece);
    done += piece.size();
  }
}

void expect_flow(Connection& from, std::uint64_t size, std::uint64_t position, std::uint32_t seed) {
  // A stream must not be read beyond `size`; a record must have room whole, wherever its writer cut.
  std::vector<std::uint8_t> bytes(from.is_records() ? from.chunk() : std::min<std::uint64_t>(from.chunk(), size));
  for (std::uint64_t done = 0; done < size;) {
    const std::size_t room = from.is_records() ? bytes.size() : std::min<std::uint64_t>(bytes.size(), size - done);
    const std::int64_t got = from.read(bytes.data(), room, soon());
    require(got > 0, "read returned ", result_text(got), " after ", done, " of ", size, " bytes");
    require(static_cast<std::uint64_t>(got) <= std::min<std::uint64_t>(room, size - done), "read returned ",
            result_text(got), " where ", size - done, " were left");
    check(std::span(bytes).first(static_cast<std::size_t>(got)), position + done, seed);
    done += static_cast<std::uint64_t>(got);
  }
}

void expect_end(Connection& from, std::int64_t deadline) {
  std::uint8_t byte = 0;
  expect(from.read(&byte, 1, deadline), {FERRY_END}, "read after the last byte");
}

std::uint64_t read_flow_until_status(Connection& from, std::int64_t& status, std::int64_t deadline) {
  std::vector<std::uint8_t> bytes(from.chunk());
  std::uint64_t position = 0;
  while (true) {
    status = from.read(bytes.data(), bytes.size(), deadline);
    if (status <= 0) return position;
    check(std::span(bytes).first(static_cast<std::size_t>(status)), position);
    position += static_cast<std::uint64_t>(status);
  }
}

std::uint64_t fill_up(Connection& to, std::uint64_t limit) {
  constexpr std::size_t piece_bytes = 16384;
  std::vector<std::uint8_t> bytes(std::min(piece_bytes, to.chunk()));
  std::uint64_t position = 0;
  while (position <= limit) {
    fill(bytes, position);
    const std::int64_t sent = to.write(bytes.data(), bytes.size(), FERRY_NO_WAIT);
    if (sent == FERRY_WOULD_BLOCK) return position;
    require(sent > 0, "write without waiting returned ", result_text(sent));
    position += static_cast<std::uint64_t>(sent);
  }
  fail(concat("a peer that reads nothing let ", position, " bytes be written: what is in flight must be bounded"));
}

std::int64_t write_until_status(Connection& to, std::uint64_t& position, std::int64_t deadline) {
  std::vector<std::uint8_t> bytes(std::min<std::size_t>(to.chunk(), 16384));
  while (true) {
    fill(bytes, position);
    const std::int64_t sent = to.write(bytes.data(), bytes.size(), deadline);
    if (sent <= 0) return sent;
    position += static_cast<std::uint64_t>(sent);
  }
}

}  // namespace ferry::conformance

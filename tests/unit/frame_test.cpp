#include "frame.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace ferry;

namespace {

std::vector<std::byte> header_of(FrameFormat format, std::uint64_t size) {
  std::vector<std::byte> bytes(max_frame_header_bytes);
  bytes.resize(write_frame_header(format, size, bytes.data()));
  return bytes;
}

std::vector<std::byte> octets(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

constexpr std::uint64_t no_limit = UINT64_MAX;

}  // namespace

TEST_CASE("headers are the bytes that CPython writes") {
  CHECK(header_of(FrameFormat::python, 0) == octets({0, 0, 0, 0}));
  CHECK(header_of(FrameFormat::python, 0x01020304) == octets({1, 2, 3, 4}));
  CHECK(header_of(FrameFormat::python, 0x7fffffff) == octets({0x7f, 0xff, 0xff, 0xff}));
  CHECK(header_of(FrameFormat::python, 0x80000000) == octets({0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0x80, 0, 0, 0}));
}

TEST_CASE("a header reads back whatever its size and format") {
  for (const auto format : {FrameFormat::python, FrameFormat::aligned}) {
    for (const std::uint64_t size : {0ull, 1ull, 7ull, 8ull, 65536ull, 0x7fffffffull, 0x80000000ull, 1ull << 40}) {
      const auto bytes = header_of(format, size);
      FrameHead head;
      REQUIRE(read_frame_head(format, bytes, no_limit, head) == Status::ok);
      CHECK(head.payload == size);
      CHECK(head.header == bytes.size());
      CHECK(head.header == frame_header_size(format, size));
      CHECK(head.total == bytes.size() + size + frame_padding(format, size));
      if (format == FrameFormat::aligned) CHECK(head.total % 8 == 0);
      for (std::size_t part = 0; part < bytes.size(); ++part) {
        CHECK(read_frame_head(format, ConstBytes(bytes).first(part), no_limit, head) == Status::would_block);
        CHECK(head.total > part);
        CHECK(head.total <= bytes.size());
      }
    }
  }
}

TEST_CASE("a frame is its header, the payload and zeros up to its alignment, and nothing behind it is touched") {
  constexpr std::size_t longest = 300;
  constexpr auto untouched = std::byte{0xee};
  std::vector<std::byte> payload(longest);
  for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::byte>(i % 251 + 1);
  for (const auto format : {FrameFormat::python, FrameFormat::aligned}) {
    for (std::size_t size = 0; size <= longest; ++size) {
      CAPTURE(size);
      const ConstBytes message = ConstBytes(payload).first(size);
      std::vector<std::byte> expected = header_of(format, size);
      expected.insert(expected.end(), message.begin(), message.end());
      expected.resize(expected.size() + frame_padding(format, size));
      const std::size_t frame = expected.size();
      expected.resize(frame + 64, untouched);
      std::vector<std::byte> written(expected.size(), untouched);
      CHECK(write_frame(format, message, written.data()) == frame);
      CHECK(written == expected);
      if (format == FrameFormat::python || size > small_payload_bytes) continue;
      written.assign(expected.size(), untouched);
      CHECK(write_small_aligned_frame(message, written.data()) == frame);
      CHECK(written == expected);
    }
  }
}

TEST_CASE("negative lengths other than -1 are no frames") {
  FrameHead head;
  CHECK(read_frame_head(FrameFormat::python, octets({0xff, 0xff, 0xff, 0xfe}), no_limit, head) == Status::protocol);
  CHECK(read_frame_head(FrameFormat::python, octets({0x80, 0, 0, 0}), no_limit, head) == Status::protocol);
}

TEST_CASE("a payload above the limit is refused, one at the limit is not") {
  FrameHead head;
  CHECK(read_frame_head(FrameFormat::python, header_of(FrameFormat::python, 100), 100, head) == Status::ok);
  CHECK(read_frame_head(FrameFormat::python, header_of(FrameFormat::python, 101), 100, head) == Status::too_large);
  CHECK(read_frame_head(FrameFormat::aligned, header_of(FrameFormat::aligned, 101), 100, head) == Status::too_large);
}

TEST_CASE("a length near the top of its range is refused even without a limit") {
  FrameHead head;
  const auto longest = octets({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff});
  CHECK(read_frame_head(FrameFormat::python, longest, no_limit, head) == Status::too_large);
}

TEST_CASE("copy_payload copies every size and nothing beside it") {
  std::vector<std::byte> from(300);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i * 7 + 1);
  for (std::size_t size = 0; size <= 260; ++size) {
    std::vector<std::byte> to(size + 2, std::byte{0xee});
    copy_payload(to.data() + 1, from.data(), size);
    CHECK(std::equal(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(size), to.begin() + 1));
    CHECK(to.front() == std::byte{0xee});
    CHECK(to.back() == std::byte{0xee});
  }
}

TEST_CASE("a guessed size is the size") {
  LikelySize likely;
  for (const std::uint64_t size : {64ull, 64ull, 64ull, 8ull, 64ull, 0ull, 0ull, 1ull << 40, 64ull, 64ull})
    CHECK(likely.take(size) == size);
  CHECK(LikelySize().take(0) == 0);
}

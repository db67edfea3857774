// The two pieces of the reactor that do no I/O: the write queue and the inbox.
#include "reactor_queue.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "reactor_inbox.hpp"

using namespace ferry;

namespace {

ConstBytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
std::string text_of(ConstBytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::string gathered(WriteQueue& queue, std::size_t pieces, std::size_t limit) {
  std::vector<ferry_iovec> list(pieces);
  const std::uint32_t count = queue.gather(list, limit);
  std::string text;
  for (std::uint32_t i = 0; i < count; ++i) {
    text.append(static_cast<const char*>(list[i].data), static_cast<std::size_t>(list[i].size));
  }
  return text;
}

std::string framed(std::string_view payload) {
  std::array<std::byte, max_frame_header_bytes> header;
  const std::size_t size = write_frame_header(FrameFormat::python, payload.size(), header.data());
  return text_of(ConstBytes(header).first(size)) + std::string(payload);
}

}  // namespace

TEST_CASE("a queue gives back what was put in, however it is cut") {
  WriteChunkPool pool;
  WriteQueue queue(pool, FrameFormat::python);
  std::mt19937 random(7);
  std::string expected;
  std::string taken;
  for (int round = 0; round < 3000; ++round) {
    const std::string payload(random() % (round % 100 == 0 ? 200'000 : 300), static_cast<char>('a' + round % 26));
    const std::string_view padding = random() % 2 == 0 ? "p" : "";
    if (random() % 4 == 0 && !payload.empty()) {
      const auto shared = std::make_shared<const std::string>(payload);
      queue.append_shared(bytes_of("head"), {bytes_of(*shared), shared}, bytes_of(padding));
    } else {
      queue.append(bytes_of("head"), bytes_of(payload), bytes_of(padding));
    }
    expected.append("head").append(payload).append(padding);
    if (random() % 3 != 0) continue;
    const std::string some = gathered(queue, 1 + random() % 64, random() % 100'000);
    taken += some;
    queue.consume(some.size());
    CHECK(queue.size() == expected.size() - taken.size());
  }
  while (!queue.empty()) {
    const std::string some = gathered(queue, 64, SIZE_MAX);
    taken += some;
    queue.consume(some.size());
  }
  CHECK((taken == expected));
}

TEST_CASE("a shared message is referred to, and its owner is let go with its last byte") {
  WriteChunkPool pool;
  WriteQueue queue(pool, FrameFormat::python);
  const auto message = std::make_shared<const std::string>(1000, 's');
  queue.append_shared(bytes_of("head"), {bytes_of(*message), message}, {});
  queue.append({}, bytes_of("next"), {});
  std::array<ferry_iovec, 8> pieces;
  REQUIRE(queue.gather(pieces) == 3);
  CHECK(pieces[1].data == message->data());
  queue.consume(4 + 999);
  CHECK(message.use_count() == 2);
  queue.consume(1);
  CHECK(message.use_count() == 1);
  CHECK(gathered(queue, 8, SIZE_MAX) == "next");
  queue.append_shared({}, {bytes_of(*message), message}, {});
  queue.clear();
  CHECK(message.use_count() == 1);
}

TEST_CASE("the quick way in gives the same bytes, and does nothing where it does not fit") {
  for (const FrameFormat format : {FrameFormat::python, FrameFormat::aligned}) {
    WriteChunkPool pool;
    WriteQueue queue(pool, format);
    queue.open_window(SIZE_MAX);
    CHECK_FALSE(queue.append_small(bytes_of("no chunk yet")));
    std::string expected = "-";
    queue.append({}, bytes_of(expected), {});
    CHECK_FALSE(queue.append_small(bytes_of("no window yet")));
    queue.open_window(SIZE_MAX);
    std::string text;
    for (char c = ' '; text.size() < 100; ++c) {
      if (!queue.append_small(bytes_of(text))) break;
      const bool aligned = format == FrameFormat::aligned;
      expected += std::string(aligned ? 7 : 3, '\0') + static_cast<char>(text.size()) + text;
      if (aligned) expected.append(-text.size() % 8, '\0');
      text += c;
      CHECK(queue.size() == expected.size());
    }
    CHECK(text.size() > 60);
    CHECK_FALSE(queue.append_small(bytes_of(std::string(4000, 'x'))));
    CHECK(gathered(queue, 64, SIZE_MAX) == expected);
    CHECK(queue.size() == expected.size());
  }
}

TEST_CASE("the quick way in ends below the limit, and with every other change of the queue") {
  WriteChunkPool pool;
  WriteQueue queue(pool, FrameFormat::python);
  const ConstBytes one = bytes_of("1");  // 5 bytes with its header
  queue.append({}, bytes_of("-"), {});
  queue.open_window(12);
  CHECK(queue.append_small(one));
  CHECK(queue.append_small(one));
  CHECK_FALSE(queue.append_small(one));
  CHECK(queue.size() == 11);
  const std::array<std::function<void()>, 4> changes = {
      [&] { queue.append({}, bytes_of("-"), {}); }, [&] { queue.consume(1); }, [&] { queue.close_window(); },
      [&] { CHECK(gathered(queue, 64, SIZE_MAX).size() == queue.size()); }};
  for (const auto& change : changes) {
    queue.open_window(SIZE_MAX);
    REQUIRE(queue.append_small(one));
    change();
    CHECK_FALSE(queue.append_small(one));
  }
  queue.open_window(SIZE_MAX);
  REQUIRE(queue.append_small(one));
  queue.clear();
  CHECK(queue.empty());
  CHECK_FALSE(queue.append_small(one));
}

TEST_CASE("a few queued bytes hold one small chunk, and an empty queue none") {
  WriteChunkPool pool;
  WriteQueue queue(pool, FrameFormat::python);
  queue.append({}, bytes_of("few"), {});
  WriteChunk* const other = pool.take(false);
  CHECK(other->capacity == WriteChunkPool::small_bytes);
  pool.give_back(other);
  queue.consume(3);
  CHECK(queue.empty());
  WriteChunk* const reused = pool.take(false);
  WriteChunk* const again = pool.take(false);
  CHECK((reused == other || again == other));
  pool.give_back(reused);
  pool.give_back(again);
}

TEST_CASE("an inbox cuts the same messages out of any pieces, also when it is stopped in between") {
  std::vector<std::string> expected;
  std::string stream;
  std::mt19937 random(11);
  for (int i = 0; i < 400; ++i) {
    expected.emplace_back(random() % (i % 50 == 0 ? 300'000 : 80), static_cast<char>('a' + i % 26));
    stream += framed(expected.back());
  }
  for (const std::size_t largest : {std::size_t{1000}, std::size_t{70'000}, std::size_t{1} << 20}) {
    SpareBlock spare_block;
    Inbox inbox(FrameFormat::python, 1u << 20, spare_block);
    std::vector<std::string> messages;
    const auto deliver = [&](ConstBytes message) {
      messages.push_back(text_of(message));
      return random() % 5 != 0;
    };
    for (std::size_t at = 0; at < stream.size();) {
      const MutableBytes spare = inbox.spare();
      const std::size_t part = std::min(stream.size() - at, 1 + random() % largest);
      ConstBytes bytes = bytes_of(std::string_view(stream).substr(at, part));
      if (!spare.empty()) {
        const std::size_t fits = std::min(spare.size(), part);
        std::memcpy(spare.data(), bytes.data(), fits);
        inbox.filled(fits);
        at += fits;
        bytes = {};
      } else {
        at += part;
      }
      CHECK(inbox.feed(bytes, deliver) == Status::ok);
      inbox.keep(bytes);
      ConstBytes none;
      while (!inbox.empty() && random() % 2 == 0) CHECK(inbox.feed(none, deliver) == Status::ok);
    }
    ConstBytes none;
    while (messages.size() < expected.size()) REQUIRE(inbox.feed(none, deliver) == Status::ok);
    CHECK((messages == expected));
    CHECK(inbox.empty());
    CHECK(inbox.capacity() == 0);
  }
}

TEST_CASE("an announced length costs no memory before the bytes arrive") {
  SpareBlock spare_block;
  Inbox inbox(FrameFormat::python, 1u << 30, spare_block);
  const auto deliver = [](ConstBytes) { return true; };
  const std::string start = std::string("\x3f\xff\xff\xff", 4) + "few";
  ConstBytes bytes = bytes_of(start);
  REQUIRE(inbox.feed(bytes, deliver) == Status::ok);
  CHECK(inbox.capacity() < 64);
  CHECK(inbox.spare().empty());
  const std::string more(100'000, 'm');
  bytes = bytes_of(more);
  REQUIRE(inbox.feed(bytes, deliver) == Status::ok);
  CHECK(inbox.capacity() < 2 * (start.size() + more.size()));
  CHECK(inbox.spare().size() >= 64u << 10);
  CHECK(inbox.capacity() < 3 * (start.size() + more.size()));
}

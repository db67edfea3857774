// What a client keeps of a server's tickets, which of them allow early data, and what a server remembers of it.
#include "quic_tickets.hpp"

#include <doctest/doctest.h>

#include <vector>

#include "quic_replay.hpp"

using namespace ferry::quic;

namespace {

using Bytes = std::vector<std::uint8_t>;

/// A NewSessionTicket with these extensions, which `size` counts.
Bytes ticket(const Bytes& extensions, std::uint8_t size) {
  Bytes out = {0, 0, 0x0e, 0x10, 1, 2, 3, 4, 2, 9, 9, 0, 3, 7, 7, 7, 0, size};
  out.insert(out.end(), extensions.begin(), extensions.end());
  return out;
}
Bytes ticket(const Bytes& extensions) { return ticket(extensions, static_cast<std::uint8_t>(extensions.size())); }

const Bytes early_data = {0, 42, 0, 4, 0xff, 0xff, 0xff, 0xff};
const Bytes other = {0x0a, 0x0a, 0, 2, 1, 1};

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("a ticket allows early data where it says so, as QUIC wants it said") {
  CHECK(allows_early_data(ticket(early_data)));
  CHECK(allows_early_data(ticket(other + early_data + other)));
  CHECK_FALSE(allows_early_data(ticket({})));
  CHECK_FALSE(allows_early_data(ticket(other)));
  CHECK_FALSE(allows_early_data(ticket({0, 42, 0, 4, 0, 0, 0x40, 0})));  // a limit, as TCP's TLS has it
  CHECK_FALSE(allows_early_data(ticket({0, 42, 0, 2, 0xff, 0xff})));
  CHECK_FALSE(allows_early_data(ticket(early_data, 6)));
}

TEST_CASE("half a ticket allows nothing") {
  const Bytes whole = ticket(other + early_data);
  for (std::size_t size = 0; size < whole.size(); ++size) CHECK_FALSE(allows_early_data({whole.data(), size}));
}

TEST_CASE("a ticket is kept for whom it is from, the newest, and given once") {
  Tickets tickets;
  tickets.put("a", {"1", ""});
  tickets.put("a", {"2", "limits"});
  CHECK_FALSE(tickets.take("b"));
  const auto found = tickets.take("a");
  REQUIRE(found);
  CHECK(found->session == "2");
  CHECK(found->early_limits == "limits");
  CHECK_FALSE(tickets.take("a"));
}

TEST_CASE("what was taken is known for a whole window, however the windows fall") {
  constexpr std::int64_t window = 10;
  for (std::int64_t first = 0; first < 25; ++first) {
    ReplayMemory memory;
    CHECK(memory.add("before", 0, window));
    CHECK(memory.add("id", first, window));
    for (std::int64_t later = 0; later <= window; ++later) CHECK_FALSE(memory.add("id", first + later, window));
  }
  ReplayMemory memory;
  CHECK(memory.add("id", 0, window));
  CHECK(memory.add("other", 11, window));
  CHECK(memory.add("third", 22, window));
  CHECK(memory.add("id", 22, window));  // nobody would take it any more
}

TEST_CASE("too many in a window are not taken, and others are again in the next") {
  ReplayMemory memory;
  std::size_t taken = 0;
  for (std::size_t i = 0; i < ReplayMemory::max_per_window + 10; ++i) {
    if (memory.add(std::to_string(i), 0, 10)) ++taken;
  }
  CHECK(taken == ReplayMemory::max_per_window);
  CHECK(memory.add("next", 11, 10));
  CHECK_FALSE(memory.add("0", 11, 10));
}

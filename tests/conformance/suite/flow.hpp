// Moving whole amounts of bytes and checking each of them.
//
// Every byte of a flow is a function of its position, so a lost, doubled, swapped or stale byte is found and named
// without keeping a copy. On record transports a flow is cut into records of at most chunk() bytes.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "abi_objects.hpp"

namespace ferry::conformance {

/// Eight bytes of the flow `seed`, from `8 * index` on. Whole words, because byte by byte a sanitized program is so
/// slow that the flow, and not the transport, sets the pace. Mixed as SplitMix64 does (Steele, Lea, Flood, OOPSLA
/// 2014).
constexpr std::uint64_t pattern_word(std::uint64_t index, std::uint32_t seed) noexcept {
  std::uint64_t mixed = (index + seed * 0x51ed2701ull + 1) * 0x9e3779b97f4a7c15ull;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ull;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebull;
  return mixed ^ (mixed >> 31);
}

/// The byte at `position` of the flow `seed`.
constexpr std::uint8_t pattern(std::uint64_t position, std::uint32_t seed = 0) noexcept {
  return std::bit_cast<std::array<std::uint8_t, 8>>(pattern_word(position / 8, seed))[position % 8];
}

/// Fills or checks `bytes`, which stand at `position` of the flow.
void fill(std::span<std::uint8_t> bytes, std::uint64_t position, std::uint32_t seed = 0) noexcept;
void check(std::span<const std::uint8_t> bytes, std::uint64_t position, std::uint32_t seed = 0);

/// Writes all of the bytes; fails on any status but success.
void write_all(Connection& to, std::span<const std::uint8_t> bytes, std::int64_t deadline = soon());
/// Reads exactly as many bytes as `bytes` has; fails on any status but success.
void read_exact(Connection& from, std::span<std::uint8_t> bytes, std::int64_t deadline = soon());

/// Writes `size` bytes of the flow from `position`.
void send_flow(Connection& to, std::uint64_t size, std::uint64_t position = 0, std::uint32_t seed = 0);
/// Reads and checks exactly `size` bytes of the flow from `position`.
void expect_flow(Connection& from, std::uint64_t size, std::uint64_t position = 0, std::uint32_t seed = 0);
/// The next read must say END.
void expect_end(Connection& from, std::int64_t deadline = soon());
/// Reads and checks the flow until a status comes; returns the bytes read and sets the status.
std::uint64_t read_flow_until_status(Connection& from, std::int64_t& status, std::int64_t deadline = soon());

/// Writes without waiting until the connection takes no more; returns the bytes it took. Fails above `limit`.
std::uint64_t fill_up(Connection& to, std::uint64_t limit);
/// Writes the flow from `position`, which moves along, until a status comes. A network transport may take more long
/// after it first said that it was full, as its peer's kernel widens the window; this waits such growth out.
std::int64_t write_until_status(Connection& to, std::uint64_t& position, std::int64_t deadline);
inline constexpr std::uint64_t most_bytes_in_flight = 64u << 20;

}  // namespace ferry::conformance

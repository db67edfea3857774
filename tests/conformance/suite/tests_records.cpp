// Records: whole or not at all, their boundaries kept, their limit stated.
#include <algorithm>
#include <array>

#include "flow.hpp"
#include "suite.hpp"

namespace ferry::conformance {
namespace {

/// Reads one record of exactly `size` bytes of the flow.
void expect_record(Connection& from, std::uint64_t size, std::uint32_t seed) {
  std::vector<std::uint8_t> bytes(from.info().max_record + 1);
  const std::int64_t got = from.read(bytes.data(), bytes.size(), soon());
  require(got == static_cast<std::int64_t>(size), "a record of ", size, " bytes was read as ", result_text(got));
  check(std::span(bytes).first(size), 0, seed);
}

void write_record(Connection& to, std::uint64_t size, std::uint32_t seed) {
  std::vector<std::uint8_t> bytes(size + 1);
  fill(bytes, 0, seed);
  expect(to.write(bytes.data(), size, soon()), {static_cast<std::int64_t>(size)}, "write of a record");
}

void boundaries_are_kept(Context& context) {
  Pair pair = context.pair();
  const std::uint64_t most = std::min<std::uint64_t>(pair.client.info().max_record, 1u << 20);
  const std::uint64_t sizes[] = {1, 2, 100, 0, 4096, most - 1, most, 0, 3};
  std::uint32_t seed = 0;
  for (const std::uint64_t size : sizes) {
    write_record(pair.client, size, ++seed);
    expect_record(pair.server, size, seed);
  }
  for (std::uint32_t i = 0; i < 8; ++i) write_record(pair.client, i, i);
  for (std::uint32_t i = 0; i < 8; ++i) expect_record(pair.server, i, i);
}

void pieces_make_one_record(Context& context) {
  Pair pair = context.pair();
  std::array<std::uint8_t, FERRY_MAX_IOVECS> bytes{};
  fill(bytes, 0);
  std::array<ferry_iovec, FERRY_MAX_IOVECS> pieces{};
  for (std::size_t i = 0; i < pieces.size(); ++i) pieces[i] = {&bytes[i], 1};
  expect(pair.client.write(pieces, soon()), {FERRY_MAX_IOVECS}, "write of 64 pieces");
  expect_record(pair.server, FERRY_MAX_IOVECS, 0);
}

void too_large_is_refused(Context& context) {
  Pair pair = context.pair();
  const std::uint64_t most = pair.client.info().max_record;
  if (most > most_bytes_in_flight) skip("records are larger than this test would hold");
  const std::vector<std::uint8_t> bytes(most + 1);
  expect(pair.client.write(bytes.data(), bytes.size(), soon()), {FERRY_TOO_LARGE}, "write of max_record + 1 bytes");
  write_record(pair.client, 10, 1);
  expect_record(pair.server, 10, 1);
}

void short_reads_leave_the_record(Context& context) {
  Pair pair = context.pair();
  write_record(pair.client, 100, 1);
  std::array<std::uint8_t, 99> small{};
  for (int i = 0; i < 3; ++i) {
    expect(pair.server.read(small.data(), small.size(), soon()), {FERRY_TOO_LARGE},
           "read of a record that does not fit");
  }
  expect_record(pair.server, 100, 1);
}

void end_is_no_empty_record(Context& context) {
  Pair pair = context.pair();
  write_record(pair.client, 0, 0);
  write_record(pair.client, 5, 0);
  expect(pair.client.shutdown_write(), {FERRY_OK}, "shutdown_write");
  expect_record(pair.server, 0, 0);
  expect_record(pair.server, 5, 0);
  expect_end(pair.server);
}

}  // namespace

std::span<const Test> record_tests() {
  constexpr std::uint64_t records = FERRY_CAP_EPHEMERAL | FERRY_CAP_RECORDS;
  static constexpr Test tests[] = {
      {"records.boundaries", "each read gives one record as it was written, empty ones too", records,
       boundaries_are_kept},
      {"records.pieces", "the pieces of one write make one record", records, pieces_make_one_record},
      {"records.too_large", "a record above max_record is refused and harms nothing", records, too_large_is_refused},
      {"records.short_read", "a record that does not fit stays", records, short_reads_leave_the_record},
      {"records.end", "the end is told apart from an empty record", records | FERRY_CAP_HALF_CLOSE,
       end_is_no_empty_record},
  };
  return tests;
}

}  // namespace ferry::conformance

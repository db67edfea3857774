// When the packets of a path within this machine become large, and when they are small again.
#include "quic_packet_size.hpp"

#include <doctest/doctest.h>

#include <initializer_list>

using ferry::quic::PacketSize;

namespace {

PacketSize probing() {
  PacketSize size;
  size.look();
  size.probe_sent(PacketSize::large_bytes, {4, 50'000, 7});
  return size;
}

PacketSize found() {
  PacketSize size = probing();
  size.acknowledged({4, 60'000, 7});
  return size;
}

}  // namespace

TEST_CASE("packets are large once what a probe carried has arrived") {
  PacketSize size;
  CHECK_FALSE(size.is_ours());
  size.look();
  CHECK(size.is_ours());
  CHECK(size.may_probe());
  size = probing();
  CHECK_FALSE(size.may_probe());
  size.acknowledged({4, 49'999, 7});
  size.acknowledged({0, 90'000, 7});
  CHECK(size.current() == PacketSize::small_bytes);
  size.acknowledged({4, 50'000, 7});
  CHECK(size.current() == PacketSize::large_bytes);
  CHECK_FALSE(size.may_probe());
}

TEST_CASE("a loss or a time-out in between, or the end of the stream, says nothing of a probe") {
  PacketSize lost = probing();
  lost.acknowledged({4, 50'000, 8});
  PacketSize late = probing();
  late.timed_out(0, PacketSize::small_bytes);
  CHECK_FALSE(late.may_probe());
  late.timed_out(1, PacketSize::small_bytes);
  PacketSize ended = probing();
  ended.ended(0);
  CHECK_FALSE(ended.may_probe());
  ended.ended(4);
  for (PacketSize* const size : {&lost, &late, &ended}) {
    CHECK(size->may_probe());
    size->acknowledged({4, 90'000, 8});
    CHECK(size->current() == PacketSize::small_bytes);
  }
}

TEST_CASE("ten probes in vain are enough") {
  PacketSize size;
  size.look();
  for (int i = 0; i < 10; ++i) {
    CHECK(size.may_probe());
    size.probe_sent(PacketSize::large_bytes, {4, 50'000, 7});
    size.timed_out(1, PacketSize::small_bytes);
  }
  CHECK_FALSE(size.may_probe());
  CHECK(size.is_ours());
  CHECK(size.current() == PacketSize::small_bytes);
}

TEST_CASE("two time-outs in a row begin the search anew") {
  PacketSize size = found();
  size.timed_out(1, PacketSize::small_bytes);
  CHECK(size.current() == PacketSize::large_bytes);
  size.timed_out(2, PacketSize::small_bytes);
  CHECK(size.current() == PacketSize::small_bytes);
  CHECK(size.may_probe());
}

TEST_CASE("another path makes packets small for good") {
  PacketSize size = found();
  size.path_changed();
  CHECK(size.current() == PacketSize::small_bytes);
  CHECK_FALSE(size.may_probe());
  PacketSize not_ours;
  not_ours.path_changed();
  CHECK_FALSE(not_ours.is_ours());
}

TEST_CASE("three time-outs in a row end what ngtcp2 has found, where that is more than the least") {
  PacketSize size;
  size.timed_out(9, PacketSize::small_bytes);
  CHECK_FALSE(size.is_ours());
  size.timed_out(2, 1444);
  CHECK_FALSE(size.is_ours());
  size.timed_out(3, 1444);
  CHECK(size.is_ours());
  CHECK(size.current() == PacketSize::small_bytes);
  CHECK_FALSE(size.may_probe());
}

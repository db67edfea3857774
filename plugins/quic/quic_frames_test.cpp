// The search for STOP_SENDING among a packet's other frames, whole ones and broken ones.
#include "quic_frames.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace ferry::quic;

namespace {

using Bytes = std::vector<std::uint8_t>;

std::vector<StopSending> stops_in(const Bytes& payload) {
  std::vector<StopSending> out;
  find_stops(payload, out);
  return out;
}

const Bytes stop = {0x05, 0x40, 0x84, 0x07};  // of stream 132 for the reason 7

/// One of each frame that may come before another.
const std::vector<Bytes> others = {
    {0x00, 0x00, 0x00},
    {0x01},
    {0x02, 0x44, 0x00, 0x01, 0x02, 0x03, 0x00, 0x01, 0x00, 0x02},
    {0x03, 0x05, 0x01, 0x00, 0x03, 0x01, 0x02, 0x03},
    {0x04, 0x04, 0x01, 0x02},
    {0x06, 0x00, 0x02, 0x05, 0x05},
    {0x07, 0x03, 0x05, 0x05, 0x05},
    {0x0a, 0x04, 0x02, 0x05, 0x05},
    {0x0f, 0x04, 0x40, 0x05, 0x01, 0x05},
    {0x10, 0x05},
    {0x11, 0x05, 0x05},
    {0x12, 0x05},
    {0x14, 0x05},
    {0x15, 0x05, 0x05},
    {0x16, 0x05},
    {0x18, 0x01, 0x00, 0x02, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5},
    {0x19, 0x05},
    {0x1a, 5, 5, 5, 5, 5, 5, 5, 5},
    {0x1e},
    {0x31, 0x02, 0x05, 0x05},
};

}  // namespace

TEST_CASE("a stop is found behind each other frame, whose content is not taken for one") {
  for (const Bytes& frame : others) {
    CAPTURE(static_cast<int>(frame[0]));
    Bytes payload = frame;
    CHECK(stops_in(payload).empty());
    payload.insert(payload.end(), stop.begin(), stop.end());
    const auto found = stops_in(payload);
    REQUIRE(found.size() == 1);
    CHECK(found[0].stream_id == 132);
    CHECK(found[0].code == 7);
  }
}

TEST_CASE("what reaches to the end of the packet hides what looks like a stop") {
  for (const std::uint8_t type : Bytes{0x08, 0x09, 0x0c, 0x30}) {
    Bytes payload = {type, 0x04};
    payload.insert(payload.end(), stop.begin(), stop.end());
    CHECK(stops_in(payload).empty());
  }
}

TEST_CASE("as many are found as a packet holds") {
  Bytes payload;
  for (int i = 0; i < 300; ++i) payload.insert(payload.end(), stop.begin(), stop.end());
  CHECK(stops_in(payload).size() == 300);
}

TEST_CASE("frames that are cut short, claim too much or are unknown end the search") {
  for (std::size_t size = 0; size < stop.size(); ++size)
    CHECK(stops_in(Bytes(stop.begin(), stop.begin() + static_cast<std::ptrdiff_t>(size))).empty());
  for (Bytes payload :
       {Bytes{0x0a, 0x04, 0x7f, 0xff}, Bytes{0x02, 0x05, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
        Bytes{0x21}, Bytes{0x1c}}) {
    payload.insert(payload.end(), stop.begin(), stop.end());
    CHECK(stops_in(payload).empty());
  }
}

// Whatever the bytes, and however they are cut, a channel finds the messages that a plain reading of the format finds,
// then stops for the same reason, and never asks for memory that the bytes received do not justify.
//
// Input: one byte of choices, one byte of piece size, then the stream.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "../support/scripted_connection.hpp"
#include "frame.hpp"
#include "message_receiver.hpp"

namespace {

using namespace ferry;

constexpr std::uint64_t max_message = 3000;

void require(bool holds) {
  if (!holds) std::abort();
}

/// The next message of the whole stream, read the plain way.
Status read_plainly(FrameFormat format, std::string_view& stream, std::string_view& message) {
  FrameHead head;
  const Status status = read_frame_head(format, std::as_bytes(std::span(stream)), max_message, head);
  if (status == Status::would_block || (status == Status::ok && head.total > stream.size())) {
    return stream.empty() ? Status::end : Status::reset;
  }
  if (status != Status::ok) return status;
  message = stream.substr(head.header, static_cast<std::size_t>(head.payload));
  stream.remove_prefix(static_cast<std::size_t>(head.total));
  return Status::ok;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const bool lending = (data[0] & 1) != 0, aligned = (data[0] & 2) != 0, stalling = (data[0] & 4) != 0;
  const std::size_t batch = 1u + (data[0] >> 3);
  const std::size_t piece = 1u + std::size_t{data[1]};
  std::string_view stream(reinterpret_cast<const char*>(data) + 2, size - 2);

  const auto script = std::make_shared<test::Script>();
  script->frame_alignment = aligned ? 8 : 1;
  script->max_view = 500;
  for (std::size_t at = 0; at < stream.size(); at += piece) {
    script->deliver(stream.substr(at, piece));
    if (stalling) script->deliver(FERRY_WOULD_BLOCK);
  }
  Connection::Settings settings;
  settings.max_message = max_message;
  Connection connection =
      lending ? test::scripted<test::LendingScriptedConnection>(script, settings) : test::scripted(script, settings);
  MessageReceiver receiver(connection);
  const FrameFormat format = aligned ? FrameFormat::aligned : FrameFormat::python;
  std::array<ConstBytes, 32> messages;
  for (;;) {
    std::size_t received = 0;
    const Status status = receiver.receive(std::span(messages).first(batch), received, Deadline::no_wait());
    if (status == Status::would_block) continue;
    for (std::size_t i = 0; i < received; ++i) {
      std::string_view expected;
      require(read_plainly(format, stream, expected) == Status::ok);
      require(expected == std::string_view(reinterpret_cast<const char*>(messages[i].data()), messages[i].size()));
    }
    if (status == Status::ok) continue;
    std::string_view none;
    require(status == read_plainly(format, stream, none));
    break;
  }
  require(script->largest_read <= 128u << 10);
  return 0;
}

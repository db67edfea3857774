// The unit of measurement: one round of one measure over one lane, and what both processes of a lane must agree on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ferry::bench {

enum class Measure : std::uint32_t {
  ping_pong,        ///< one message there, one back, in turn
  one_way,          ///< messages one `send` each, then one acknowledgement
  one_way_batched,  ///< the same with as few system calls as the side knows how to make
  bulk,             ///< large messages one way, then one acknowledgement
};

/// Who moves the bytes of a lane.
enum class Mover : std::uint32_t {
  channel,  ///< Channel, blocking calls
  reactor,  ///< ReactorConnection, one libuv loop in each process
  raw,      ///< hand-written blocking socket calls, no Ferry below them
};

/// What the driver sends to the peer process before each round; fixed size, same build on both sides.
struct Round {
  Measure measure = Measure::ping_pong;
  std::uint32_t reserved = 0;
  std::uint64_t count = 0;  ///< messages; 0 ends the peer
  std::uint64_t size = 0;   ///< bytes of each
};

/// Bytes that the coalescing sides gather before they write, and the receive buffer of the raw side.
inline constexpr std::size_t coalesce_bytes = 64u << 10;

/// Messages handed to send_many and receive_many at once.
inline constexpr std::size_t batch_messages = 4096;

/// One end of a lane. `lead` runs in the driver, `follow` in the peer; both return when the round is complete on
/// their side. Throws ferry::Error or std::system_error when the lane breaks.
class Side {
 public:
  virtual ~Side() = default;
  /// @param latencies  for ping_pong: appended with each round trip in nanoseconds, if not null
  virtual void lead(const Round& round, std::vector<std::int64_t>* latencies) = 0;
  virtual void follow(const Round& round) = 0;
  /// Processor time that this side has used so far, in all rounds: that of the process, unless others work for it.
  virtual std::int64_t cpu_ns() const;
};

}  // namespace ferry::bench

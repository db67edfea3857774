// Standard input and output joined to a connection, both ways at once, until both directions have ended.
#pragma once

#include <cstdint>
#include <string>

#include "exit_code.hpp"
#include "ferry/channel.hpp"
#include "ferry/connection.hpp"

namespace ferry::host {

struct ExchangeReport {
  std::uint64_t sent = 0;  ///< bytes, or messages
  std::uint64_t received = 0;
  ExitCode code = ExitCode::ok;
  std::string problem;  ///< empty when ok
};

/// Bytes. The end of standard input ends our direction; the exchange goes on until the peer ends its own. Where the
/// transport has no half-close, it then goes on until a second of silence, and the peer's end is the end of both.
ExchangeReport exchange_bytes(Connection connection, Deadline deadline);
/// A line of standard input is a message, and a message received is printed as a line.
ExchangeReport exchange_messages(Channel channel, Deadline deadline);

}  // namespace ferry::host

// Messages over a connection.
//
// On byte streams a message is framed as Python's multiprocessing.connection frames it: a 4-byte big-endian signed
// length, or -1 and an 8-byte big-endian unsigned length above 2^31-1, then the payload (CPython,
// Lib/multiprocessing/connection.py, Connection._send_bytes). On record transports a message is a record.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ferry/connection.hpp"

namespace ferry {

/// One sender thread and one receiver thread may use it at once. Move only.
class Channel {
 public:
  Channel() noexcept = default;
  explicit Channel(Connection connection);
  Channel(Channel&&) noexcept;
  Channel& operator=(Channel&&) noexcept;
  ~Channel();

  // ---- throwing, for ordinary use
  void send(ConstBytes message, Deadline deadline = Deadline::never());
  void send(std::string_view message, Deadline deadline = Deadline::never());
  /// The next message, copied. Throws Error(end) when the peer has ended.
  std::vector<std::byte> receive(Deadline deadline = Deadline::never());
  std::string receive_text(Deadline deadline = Deadline::never());

  // ---- not throwing, for hot paths
  /// Sends one message; on a byte stream after a failed send the channel is broken and says so from then on.
  [[nodiscard]] Status try_send(ConstBytes message, Deadline deadline = Deadline::never());
  /// Sends many with as few system calls as the transport allows. `sent` counts whole messages handed over.
  [[nodiscard]] Status send_many(std::span<const ConstBytes> messages, std::size_t& sent,
                                 Deadline deadline = Deadline::never());
  /// The next message as a view into the transport's memory or the channel's buffer, valid until the next call that
  /// receives. No copy where the transport lends.
  [[nodiscard]] Status receive_view(ConstBytes& message, Deadline deadline = Deadline::never());
  /// At least one message and all that have already arrived, up to messages.size(); `received` counts them. The views
  /// are valid until the next call that receives.
  [[nodiscard]] Status receive_many(std::span<ConstBytes> messages, std::size_t& received,
                                    Deadline deadline = Deadline::never());

  /// Holds back small messages until uncork() or 64 KiB have gathered; flush happens in the calling thread.
  void cork() noexcept;
  [[nodiscard]] Status uncork(Deadline deadline = Deadline::never());

  /// Python's mutual HMAC challenge. The client answers first, the listener challenges first. Throws
  /// Error(authentication). Bounded by the `handshake_deadline` option when `deadline` is later.
  void authenticate_as_client(std::string_view key, Deadline deadline = Deadline::never());
  void authenticate_as_listener(std::string_view key, Deadline deadline = Deadline::never());

  [[nodiscard]] Status shutdown_write() noexcept;
  void interrupt() noexcept;
  Status close() noexcept;
  void abort() noexcept;

  Connection& connection() noexcept;
  std::uint64_t max_message() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ferry

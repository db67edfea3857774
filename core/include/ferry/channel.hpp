// Messages over a connection.
//
// On byte streams a message is framed as Python's multiprocessing.connection frames it: a 4-byte big-endian signed
// length, or -1 and an 8-byte big-endian unsigned length above 2^31-1, then the payload (CPython,
// Lib/multiprocessing/connection.py, Connection._send_bytes). A transport may ask for 8-aligned frames instead. On
// record transports a message is a record. docs/reference/framing.md has the layouts.
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

/// One sender thread and one receiver thread may use it at once; interrupt() is for any thread. Move only.
/// Calls other than destruction, assignment, close and abort need a channel that has a connection.
class Channel {
 public:
  Channel() noexcept;
  /// Takes the connection over; its settings give max_message and the handshake's bound.
  explicit Channel(Connection connection);
  Channel(Channel&&) noexcept;
  Channel& operator=(Channel&&) noexcept;
  ~Channel();

  explicit operator bool() const noexcept { return state_ != nullptr; }

  // ---- throwing, for ordinary use
  /// Sends one message whole, or throws Error with a status of try_send. Blocks until the deadline. [writer]
  void send(ConstBytes message, Deadline deadline = Deadline::never());
  void send(std::string_view message, Deadline deadline = Deadline::never());
  /// The next message, copied. Throws Error with a status of receive_view: Error(end) when the peer has ended. Blocks
  /// until the deadline. [reader]
  std::vector<std::byte> receive(Deadline deadline = Deadline::never());
  std::string receive_text(Deadline deadline = Deadline::never());

  // ---- not throwing, for hot paths
  /// Sends one message. too_large: above max_message, nothing was sent. A send that fails inside a message breaks the
  /// channel: every later one returns closed. One that fails before its first byte may be repeated. [writer]
  [[nodiscard]] Status try_send(ConstBytes message, Deadline deadline = Deadline::never());
  /// Sends many with as few system calls as the transport allows. `sent` counts whole messages handed over; on failure
  /// the others have not been sent. [writer]
  [[nodiscard]] Status send_many(std::span<const ConstBytes> messages, std::size_t& sent,
                                 Deadline deadline = Deadline::never());
  /// The next message as a view into the transport's memory or the channel's buffer, valid until the next call that
  /// receives. No copy where the transport lends. Statuses of Connection::read, and: too_large (above max_message),
  /// protocol (no frame starts so), reset (the peer ended inside a message). After would_block, timed_out and
  /// interrupted nothing is lost: the next call goes on where this one stopped. [reader]
  [[nodiscard]] Status receive_view(ConstBytes& message, Deadline deadline = Deadline::never());
  /// At least one message and those that arrived with it, up to messages.size(); `received` counts them. The views are
  /// valid until the next call that receives. [reader]
  [[nodiscard]] Status receive_many(std::span<ConstBytes> messages, std::size_t& received,
                                    Deadline deadline = Deadline::never());

  /// Holds back small messages until uncork(), close(), shutdown_write() or 64 KiB have gathered; they leave in the
  /// calling thread. abort() drops them. [writer]
  void cork() noexcept;
  /// Sends what is held back. After would_block, timed_out and interrupted it may be called again. [writer]
  [[nodiscard]] Status uncork(Deadline deadline = Deadline::never());

  /// Python's mutual HMAC challenge, see authentication.hpp. The client answers first, the listener challenges first.
  /// Throws Error(authentication), or what the connection fails with; the channel is then of no more use. Bounded by
  /// the `handshake_deadline` option when `deadline` is later. [owner]
  void authenticate_as_client(std::string_view key, Deadline deadline = Deadline::never());
  void authenticate_as_listener(std::string_view key, Deadline deadline = Deadline::never());

  /// As Connection's calls of the same names. The first two send what is held back before, bounded by the `linger`
  /// option; where that fails, shutdown_write() returns why and may be called again, and close() returns why and
  /// aborts, so that the peer does not take the end for a complete one. Destruction closes.
  [[nodiscard]] Status shutdown_write() noexcept;
  Status close() noexcept;
  void interrupt() noexcept;
  void abort() noexcept;

  /// Stays owned here. Bytes read or written beside the channel break its framing.
  Connection& connection() noexcept;
  /// Bytes of the largest message that is sent or received.
  std::uint64_t max_message() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ferry

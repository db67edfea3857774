// The messages of an authkey handshake on a connection, without waiting and without reading past the handshake.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "ferry/authentication.hpp"
#include "ferry/connection.hpp"

namespace ferry::host {

class HandshakeWire {
 public:
  /// Does not own `connection`.
  explicit HandshakeWire(Connection& connection);

  void queue(std::string_view message);
  /// ok when everything queued has left; would_block, or why it failed.
  [[nodiscard]] Status flush();
  /// ok with one whole message; would_block; protocol for one above the handshake's bound; or why it failed.
  [[nodiscard]] Status receive(ConstBytes& message);

 private:
  static constexpr std::size_t max_header_bytes = 8;

  std::size_t payload_size() const noexcept;
  Status fill(std::size_t target);

  Connection& connection_;
  std::size_t header_bytes_ = 4;  // 8 where the transport asks for aligned frames, 0 for records
  std::size_t alignment_ = 1;
  std::string outgoing_;
  std::array<std::byte, max_header_bytes + Authentication::max_message_bytes> incoming_{};
  std::size_t have_ = 0;
};

}  // namespace ferry::host

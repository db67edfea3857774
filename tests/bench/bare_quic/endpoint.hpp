// A UDP socket and the one connection over it, driven by the calling thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "connection.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "tls.hpp"

namespace ferry::bare_quic {

class Endpoint {
 public:
  /// A server at an ephemeral port of loopback. A client that starts anew replaces the one before.
  Endpoint();
  /// A client of the server at that port.
  explicit Endpoint(std::uint16_t server_port);

  std::uint16_t port() const { return ntohs(local_.sin_port); }
  /// Starts a client's next connection.
  void connect();
  /// Null before a server's first client.
  Connection* connection() { return connection_.get(); }

  /// Looks at the socket instead of sleeping in it.
  void set_spinning(bool spinning) { spinning_ = spinning; }
  /// Carries packets until `done`.
  void run_until(const std::function<bool()>& done);
  /// Carries packets until there is something to read from `fd`.
  void run_until_readable(int fd);

 private:
  void bind();
  bool wait(int other_fd);
  void receive();
  void on_datagrams(const std::uint8_t* data, std::size_t size, std::size_t packet_size);
  void on_packet(const std::uint8_t* packet, std::size_t size);

  bool server_;
  bool spinning_ = false;
  Credentials credentials_;
  plugin::UniqueFd socket_;
  sockaddr_in local_{};
  sockaddr_in remote_{};
  std::unique_ptr<Connection> connection_;
  std::vector<std::uint8_t> buffers_;
};

}  // namespace ferry::bare_quic

// A connected Unix stream socket, with the peer, fds and statistics extensions.
#pragma once

#include <string>

#include "ferry/plugin.hpp"
#include "ferry/sdk/socket_options.hpp"
#include "ferry/sdk/stream_socket.hpp"

namespace ferry::uds {

/// Fills the values of the buffer options with what the kernel granted.
void fill_buffers(const plugin::SocketBuffers& granted, ferry_value* values, std::uint32_t count) noexcept;

class UdsConnection : public plugin::Connection<UdsConnection> {
 public:
  /// Takes a connected, non-blocking socket. The client's end has no address of its own: unbound sockets are unnamed.
  UdsConnection(plugin::UniqueFd socket, std::string local_address, std::string peer_address) noexcept
      : stream_(std::move(socket), plugin::StreamSocket::Kind::local),
        local_address_(std::move(local_address)),
        peer_address_(std::move(peer_address)) {}

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept {
    return stream_.read(data, size, deadline_ns);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                     std::int64_t deadline_ns) noexcept {
    return stream_.write(pieces, count, flags, deadline_ns);
  }
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) const noexcept {
    return stream_.pollable(interest, out);
  }
  ferry_status shutdown_write() noexcept { return stream_.shutdown_write(); }
  void interrupt() noexcept { stream_.interrupt(); }
  ferry_status finish(std::int64_t deadline_ns) noexcept { return stream_.finish(deadline_ns); }
  void describe(ferry_connection_info& info) const noexcept;
  void effective(ferry_value* values, std::uint32_t count) const noexcept;
  static const void* extension(std::string_view id) noexcept;

  std::int64_t send_fds(const void* data, std::uint64_t size, const std::int32_t* fds, std::uint32_t count,
                        std::int64_t deadline_ns) noexcept;
  std::int64_t receive_fds(void* data, std::uint64_t size, std::int32_t* fds, std::uint32_t& count,
                           std::int64_t deadline_ns) noexcept;
  std::int32_t statistics(ferry_statistic* figures, std::uint32_t capacity) const noexcept;

 private:
  plugin::StreamSocket stream_;
  std::string local_address_;
  std::string peer_address_;
};

}  // namespace ferry::uds

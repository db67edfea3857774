// A TCP connection: the SDK's stream engine plus what only TCP has.
#pragma once

#include <string_view>

#include "ferry/plugin.hpp"
#include "ferry/sdk/resolve.hpp"
#include "ferry/sdk/stream_socket.hpp"
#include "tcp_options.hpp"

namespace ferry::tcp {

using plugin::SocketAddress;

/// Members are the ABI's connection operations; abi.h has their contracts.
class TcpConnection : public plugin::Connection<TcpConnection> {
 public:
  /// Takes a connected non-blocking socket with its options applied. `peer` is kept because the kernel forgets it once
  /// the connection is reset.
  TcpConnection(plugin::UniqueFd socket, const SocketAddress& peer) noexcept
      : stream_(std::move(socket), plugin::StreamSocket::Kind::network), peer_(peer) {}

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept {
    return stream_.read(data, size, deadline_ns);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                     std::int64_t deadline_ns) noexcept {
    return stream_.write(pieces, count, flags, deadline_ns);
  }
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) noexcept {
    return stream_.pollable(interest, out);
  }
  ferry_status shutdown_write() noexcept { return stream_.shutdown_write(); }
  void interrupt() noexcept { stream_.interrupt(); }
  ferry_status finish(std::int64_t deadline_ns) noexcept { return stream_.finish(deadline_ns); }
  void abort_now() noexcept { stream_.reset_on_close(); }

  void describe(ferry_connection_info& info) const;
  void effective(ferry_value* values, std::uint32_t count) const;
  static const void* extension(std::string_view id) noexcept;

 private:
  std::int64_t send_file(int file, std::uint64_t offset, std::uint64_t size, std::int64_t deadline_ns) noexcept;

  plugin::StreamSocket stream_;
  const SocketAddress peer_;
};

}  // namespace ferry::tcp

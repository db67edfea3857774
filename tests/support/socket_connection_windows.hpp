#pragma once

#include <cstdint>
#include <utility>

#include "ferry/connection.hpp"
#include "ferry/plugin.hpp"
#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/socket_acceptor.hpp"
#include "ferry/sdk/socket_stream.hpp"

// after winsock2.h
#include <ws2tcpip.h>

namespace ferry::test {

class SocketConnection : public plugin::Connection<SocketConnection> {
 public:
  explicit SocketConnection(plugin::UniqueSocket socket) : stream_(std::move(socket)) {}

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline) {
    return stream_.read(data, size, deadline);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags, std::int64_t deadline) {
    return stream_.write(pieces, count, flags, deadline);
  }
  std::int32_t arm(ferry_interest interest) { return stream_.arm(interest); }
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) { return stream_.pollable(interest, out); }
  ferry_status shutdown_write() { return stream_.shutdown_write(); }
  void interrupt() { stream_.interrupt(); }
  ferry_status finish(std::int64_t) { return stream_.shutdown_write(); }
  void describe(ferry_connection_info&) {}

 private:
  plugin::SocketStream stream_;
};

/// Two connected ends.
inline std::pair<ferry::Connection, ferry::Connection> socket_pair(ferry::Connection::Settings settings = {}) {
  static const int started = [] {
    WSADATA data;
    return ::WSAStartup(MAKEWORD(2, 2), &data);
  }();
  const plugin::UniqueSocket listener = plugin::open_stream_socket(AF_INET, IPPROTO_TCP);
  plugin::UniqueSocket client = plugin::open_stream_socket(AF_INET, IPPROTO_TCP);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  auto* const name = reinterpret_cast<sockaddr*>(&at);
  int length = sizeof(at);
  const bool connected = started == 0 && ::bind(listener.get(), name, length) == 0 &&
                         ::listen(listener.get(), 1) == 0 && ::getsockname(listener.get(), name, &length) == 0 &&
                         ::connect(client.get(), name, length) == 0;
  if (!connected) throw plugin::os_failure(::WSAGetLastError(), "socket pair");
  const auto over = [&](plugin::UniqueSocket socket) {
    return ferry::Connection((new SocketConnection(std::move(socket)))->abi(), nullptr, settings, "socket");
  };
  return {over(std::move(client)), over(plugin::UniqueSocket(::accept(listener.get(), nullptr, nullptr)))};
}

}  // namespace ferry::test

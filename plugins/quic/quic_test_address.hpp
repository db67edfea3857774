// Addresses that tests of quic's packets send from and to.
#pragma once

#include <netinet/in.h>

#include "ferry/sdk/resolve.hpp"

namespace ferry::quic {

/// 127.0.0.1 with port 0.
inline plugin::SocketAddress ipv4_loopback() {
  plugin::SocketAddress out;
  out.size = sizeof(sockaddr_in);
  auto& address = reinterpret_cast<sockaddr_in&>(out.storage);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return out;
}

}  // namespace ferry::quic

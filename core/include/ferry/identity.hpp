// Who the peer has proven to be, and by which path it is reached. See ferry.identity/1 and ferry.path/1 in abi.h.
#pragma once

#include <string>

#include "ferry/connection.hpp"

namespace ferry {

/// Empty text: the transport or the peer has no such thing, or (a client's that sends early data) it is not proven yet.
struct Identity {
  std::string certificate;  ///< DER
  std::string fingerprint;  ///< of the certificate, SHA-256 in 64 hexadecimal digits
  std::string subject;      ///< for example "CN=engine,O=Example"
  std::string protocol;     ///< application protocol (ALPN)
  std::string cipher;       ///< for example "TLS1.3 AES-128-GCM"
  bool resumed = false;     ///< an earlier TLS session was resumed
  bool early_data = false;  ///< what the client sent first was taken before its handshake was through: perhaps a replay
};

/// [any-thread]
Identity identity_of(const Connection& connection);

/// Moves our end to another local address, "host:port", while the connection lives; empty: another port where the
/// system would choose to go out now. Throws Error (unsupported, timed_out, …), and the old path then stays in use.
/// [writer]
void move_to(Connection& connection, const std::string& local, Deadline deadline = Deadline::never());
/// As Connection::info, with the addresses in use now. [any-thread]
ferry_connection_info current_path(const Connection& connection);

}  // namespace ferry

// Opening a connection to the first of several addresses that answers ("Happy Eyeballs", RFC 8305), as the tcp
// transport does, but with QUIC handshakes that the engine drives.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "quic_session.hpp"

namespace ferry::quic {

/// Races handshakes with `candidates` (at least one) and returns the first that is established, with a handle counted.
/// Blocks until the deadline. Throws plugin::Failure that names each address with its reason.
std::shared_ptr<Session> connect_first(Engine& engine, std::span<const SocketAddress> candidates,
                                       const std::string& server_name, std::shared_ptr<const Settings> settings,
                                       std::shared_ptr<const Credentials> credentials, std::int64_t deadline_ns,
                                       const ferry_cancel* cancel);

}  // namespace ferry::quic

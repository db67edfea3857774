// Listening at a TCP address.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "ferry/plugin.hpp"
#include "ferry/sdk/interrupt.hpp"
#include "tcp_connection.hpp"
#include "tcp_options.hpp"

namespace ferry::tcp {

/// A listening socket at `address`: at the first of its addresses that this machine has, IPv4 before IPv6. Blocks as
/// long as the resolver does. Throws plugin::Failure: ADDRESS_IN_USE, NOT_FOUND, PERMISSION, INVALID, UNSUPPORTED,
/// NO_RESOURCES, IO.
plugin::UniqueFd open_listening_socket(const plugin::HostAddress& address, const Settings& settings);

/// Members are the ABI's listener operations; abi.h has their contracts.
///
/// Linux copies the options of the listening socket into each connection when its handshake ends, so accept costs one
/// system call. After a reconfigure, connections still queued have the old values; from then on accept sets them
/// itself.
class TcpListener : public plugin::Listener<TcpListener> {
 public:
  explicit TcpListener(plugin::UniqueFd socket) noexcept : socket_(std::move(socket)) {}

  std::unique_ptr<TcpConnection> accept(std::int64_t deadline_ns, ferry_status& why_not);
  ferry_status pollable(ferry_pollable& out) const noexcept;
  void interrupt() noexcept { interrupt_.raise(); }
  std::string local_address() const { return SocketAddress::local_of(socket_.get()).text(); }
  void effective(ferry_value* values, std::uint32_t count) const { read_back(socket_.get(), values, count); }
  void reconfigure(plugin::Options options);

 private:
  void apply_reconfigured(int fd);

  const plugin::UniqueFd socket_;
  plugin::Interrupt interrupt_;
  std::mutex mutex_;
  std::optional<Settings> reconfigured_;  // guarded by mutex_
};

}  // namespace ferry::tcp

// Listening at a pipe's name.
#pragma once

#include <memory>
#include <string>

#include "ferry/plugin.hpp"
#include "ferry/sdk/pipe_acceptor.hpp"
#include "npipe_address.hpp"
#include "npipe_connection_windows.hpp"

namespace ferry::npipe {

/// "\\\\<host>\\pipe\\<name>". Throws plugin::Failure(FERRY_UNSUPPORTED) for a path, which Windows has no pipes at.
std::wstring system_name(const Address& address);

/// Members are the ABI's listener operations; abi.h has their contracts.
class PipeListener : public plugin::Listener<PipeListener> {
 public:
  /// Throws plugin::Failure: ADDRESS_IN_USE, INVALID (the security option), UNSUPPORTED, PERMISSION, NO_RESOURCES, IO.
  PipeListener(const Address& address, plugin::Options values);

  std::unique_ptr<PipeConnection> accept(std::int64_t deadline_ns, ferry_status& why_not);
  std::int32_t arm() noexcept { return acceptor_.arm(); }
  ferry_status pollable(ferry_pollable& out) const noexcept { return acceptor_.pollable(out); }
  void interrupt() noexcept { acceptor_.interrupt(); }
  std::string local_address() const { return address_; }
  void effective(ferry_value* values, std::uint32_t count) const noexcept;

 private:
  const std::string address_;
  const bool remote_;
  plugin::PipeAcceptor acceptor_;
};

}  // namespace ferry::npipe

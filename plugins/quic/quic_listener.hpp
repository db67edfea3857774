// The ABI's listener over an Acceptor.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "quic_acceptor.hpp"
#include "quic_connection.hpp"

namespace ferry::quic {

/// Members are the ABI's listener operations; abi.h has their contracts.
class QuicListener : public plugin::Listener<QuicListener> {
 public:
  /// Listens at the first of `candidates` that this machine has. Throws plugin::Failure.
  QuicListener(Engine& engine, const plugin::HostAddress& address, std::shared_ptr<const Settings> settings,
               std::shared_ptr<const Credentials> credentials);
  ~QuicListener();

  std::unique_ptr<QuicConnection> accept(std::int64_t deadline_ns, ferry_status& why_not);
  std::int32_t arm() noexcept;
  ferry_status pollable(ferry_pollable& out) noexcept;
  void interrupt() noexcept;
  Engine& engine() noexcept { return engine_; }
  static const void* extension(std::string_view id) noexcept;
  std::string local_address() const { return acceptor_->socket().local().text(); }
  void effective(ferry_value* values, std::uint32_t count) const noexcept { read_back(*settings_, values, count); }

 private:
  Engine& engine_;
  const std::shared_ptr<const Settings> settings_;
  std::shared_ptr<Acceptor> acceptor_;
  std::atomic<bool> interrupted_{false};
  bool looped_ = false;  // an event loop waits on it, and counts as a sleeper
};

}  // namespace ferry::quic

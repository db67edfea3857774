// The ABI's listener over an Acceptor.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "quic_acceptor.hpp"
#include "quic_connection.hpp"
#include "quic_credentials_cache.hpp"

namespace ferry::quic {

/// Members are the ABI's listener operations; abi.h has their contracts.
class QuicListener : public plugin::Listener<QuicListener> {
 public:
  /// Listens at the first place of `address` that this machine has. `cache` is for what reconfigure reads, and outlives
  /// the listener. Throws plugin::Failure.
  QuicListener(Engine& engine, const plugin::HostAddress& address, std::shared_ptr<const Settings> settings,
               CredentialsCache& cache, std::shared_ptr<const Credentials> credentials);
  ~QuicListener();

  std::unique_ptr<QuicConnection> accept(std::int64_t deadline_ns, ferry_status& why_not);
  std::int32_t arm() noexcept;
  ferry_status pollable(ferry_pollable& out) noexcept;
  void interrupt() noexcept;
  Engine& engine() noexcept { return engine_; }
  static const void* extension(std::string_view id) noexcept;
  std::string local_address() const { return acceptor_->socket().local().text(); }
  void effective(ferry_value* values, std::uint32_t count) const;
  void reconfigure(plugin::Options options);

 private:
  Engine& engine_;
  CredentialsCache& cache_;
  mutable std::mutex mutex_;  // guards the two below, for reconfigure and effective
  std::shared_ptr<const Settings> settings_;
  std::shared_ptr<const Credentials> credentials_;
  std::shared_ptr<Acceptor> acceptor_;
  std::atomic<bool> interrupted_{false};
  bool looped_ = false;  // an event loop waits on it, and counts as a sleeper
};

}  // namespace ferry::quic

// The ABI's listener over the streams that the peer of one connection opens.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "quic_connection.hpp"
#include "quic_stream_queue.hpp"

namespace ferry::quic {

/// Members are the ABI's listener operations; abi.h has their contracts.
class QuicStreamListener : public plugin::Listener<QuicStreamListener> {
 public:
  /// Takes over a handle that the session counts already.
  QuicStreamListener(Engine& engine, std::shared_ptr<Session> session, std::shared_ptr<StreamQueue> queue) noexcept
      : engine_(engine), session_(std::move(session)), queue_(std::move(queue)) {}
  ~QuicStreamListener();

  std::unique_ptr<QuicConnection> accept(std::int64_t deadline_ns, ferry_status& why_not);
  std::int32_t arm() noexcept;
  ferry_status pollable(ferry_pollable& out) noexcept;
  void interrupt() noexcept;
  std::string local_address() const { return session_->first_local().text(); }

 private:
  Engine& engine_;
  const std::shared_ptr<Session> session_;
  const std::shared_ptr<StreamQueue> queue_;
  std::atomic<bool> interrupted_{false};
  bool looped_ = false;  // an event loop waits on it, and counts as a sleeper
};

}  // namespace ferry::quic

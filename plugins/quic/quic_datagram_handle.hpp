// The ABI's connection over the datagrams of one QUIC connection: each record is a datagram.
#pragma once

#include <memory>

#include "quic_datagrams.hpp"
#include "quic_session.hpp"

namespace ferry::quic {

/// Members are the ABI's connection operations; abi.h has their contracts.
class QuicDatagrams : public plugin::Connection<QuicDatagrams> {
 public:
  /// Takes over a handle that the session counts already. `stream`: any of the session's, to tell the engine by.
  QuicDatagrams(Engine& engine, std::shared_ptr<Stream> stream, std::shared_ptr<Datagrams> datagrams) noexcept
      : engine_(engine), stream_(std::move(stream)), datagrams_(std::move(datagrams)) {}
  ~QuicDatagrams() {
    const Engine::Inside inside(engine_);
    stream_->session()->close_datagrams(aborted_);
  }

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns) {
    return datagrams_->read(data, size, deadline_ns);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags, std::int64_t deadline_ns);
  std::int32_t arm(ferry_interest interest) noexcept { return datagrams_->arm(interest); }
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) noexcept {
    return datagrams_->pollable(interest, out);
  }
  ferry_status shutdown_write() noexcept {
    shut_ = true;
    return FERRY_OK;
  }
  void interrupt() noexcept { datagrams_->interrupt(); }
  ferry_status finish(std::int64_t) noexcept { return FERRY_OK; }
  void abort_now() noexcept { aborted_ = true; }
  void describe(ferry_connection_info& info) const;

 private:
  Engine& engine_;
  const std::shared_ptr<Stream> stream_;
  const std::shared_ptr<Datagrams> datagrams_;
  bool shut_ = false;
  bool aborted_ = false;
};

}  // namespace ferry::quic

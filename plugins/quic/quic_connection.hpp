// The ABI's connection: a handle on one stream.
#pragma once

#include <memory>
#include <string_view>

#include "quic_session.hpp"

namespace ferry::quic {

class QuicDatagrams;
class QuicStreamListener;

/// Members are the ABI's connection operations; abi.h has their contracts.
class QuicConnection : public plugin::Connection<QuicConnection> {
 public:
  /// Takes over a handle that the session counts already.
  QuicConnection(Engine& engine, std::shared_ptr<Stream> stream) noexcept
      : engine_(engine), stream_(std::move(stream)) {}
  ~QuicConnection() {
    const Engine::Inside inside(engine_);
    stream_->forsake();
    session().handle_closed(stream_.get(), aborted_);
  }

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns) {
    return stream_->read(data, size, deadline_ns);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags, std::int64_t deadline_ns) {
    return stream_->write(pieces, count, flags, deadline_ns);
  }
  std::int32_t arm(ferry_interest interest) noexcept { return stream_->arm(interest); }
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) noexcept {
    return stream_->pollable(interest, out);
  }
  ferry_status shutdown_write() noexcept { return stream_->shutdown_write(); }
  void interrupt() noexcept { stream_->interrupt(); }
  ferry_status finish(std::int64_t deadline_ns) noexcept { return stream_->finish(deadline_ns); }
  void abort_now() noexcept { aborted_ = true; }

  void describe(ferry_connection_info& info) const;
  void effective(ferry_value* values, std::uint32_t count) const noexcept {
    read_back(session().settings(), values, count);
  }
  Engine& engine() noexcept { return engine_; }
  Stream& stream() noexcept { return *stream_; }
  std::int32_t statistics(ferry_statistic* figures, std::uint32_t capacity);
  static const void* extension(std::string_view id) noexcept;

  // ferry.streams/1
  std::unique_ptr<QuicConnection> open_stream(std::int64_t deadline_ns, ferry_status& why_not);
  std::unique_ptr<QuicStreamListener> listen_for_streams(ferry_status& why_not);
  ferry_status reset(std::uint64_t code) noexcept;
  ferry_status stop(std::uint64_t code) noexcept;
  std::int64_t code(ferry_interest direction) const noexcept { return stream_->code(direction); }

  // ferry.datagrams/1 and ferry.identity/1
  std::unique_ptr<QuicDatagrams> open_datagrams(ferry_status& why_not);
  std::uint64_t max_datagram() const noexcept { return session().max_datagram(); }
  std::int64_t identity(ferry_identity_item item, void* data, std::uint64_t size) const;

  // ferry.path/1
  ferry_status move(const char* local, std::int64_t deadline_ns, ferry_error* error);
  void describe_now(ferry_connection_info& info) const;

 private:
  Session& session() const noexcept { return *stream_->session(); }

  Engine& engine_;
  const std::shared_ptr<Stream> stream_;
  bool aborted_ = false;
};

}  // namespace ferry::quic

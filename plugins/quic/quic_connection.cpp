#include "quic_connection.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include "ferry/sdk/resolve.hpp"
#include "quic_datagram_handle.hpp"
#include "quic_drive.hpp"
#include "quic_statistics.hpp"
#include "quic_stream_listener.hpp"

namespace ferry::quic {
namespace {

constexpr std::uint64_t max_code = (std::uint64_t{1} << 62) - 1;  // RFC 9000, section 16

constexpr ferry_statistics statistics_table = {
    sizeof(ferry_statistics), 0,
    [](ferry_connection* connection, ferry_statistic* figures, std::uint32_t capacity) noexcept -> std::int32_t {
      return plugin::guard_hot(
          [&]() -> std::int32_t { return QuicConnection::from(connection).statistics(figures, capacity); });
    }};

/// Hands over what `make` made, or says why it made nothing.
template <class Out, class Make>
ferry_status hand_over(Out** out, ferry_error* error, Make&& make) noexcept {
  return plugin::guard(error, [&]() -> ferry_status {
    ferry_status why_not = FERRY_WOULD_BLOCK;
    auto made = make(why_not);
    if (made == nullptr) return plugin::fail(error, why_not, plugin::text_of(why_not));
    *out = made.release()->abi();
    return FERRY_OK;
  });
}

constexpr ferry_streams streams_table = {
    sizeof(ferry_streams),
    0,
    [](ferry_connection* connection, std::int64_t deadline_ns, ferry_connection** out, ferry_error* error) noexcept {
      return hand_over(out, error, [&](ferry_status& why_not) {
        return QuicConnection::from(connection).open_stream(deadline_ns, why_not);
      });
    },
    [](ferry_connection* connection, ferry_listener** out, ferry_error* error) noexcept {
      return hand_over(out, error, [&](ferry_status& why_not) {
        return QuicConnection::from(connection).listen_for_streams(why_not);
      });
    },
    [](ferry_connection* connection, std::uint64_t code) noexcept {
      return QuicConnection::from(connection).reset(code);
    },
    [](ferry_connection* connection, std::uint64_t code) noexcept {
      return QuicConnection::from(connection).stop(code);
    },
    [](ferry_connection* connection, ferry_interest direction) noexcept -> std::int64_t {
      return QuicConnection::from(connection).code(direction);
    }};

constexpr ferry_datagrams datagrams_table = {
    sizeof(ferry_datagrams), 0,
    [](ferry_connection* connection, ferry_connection** out, ferry_error* error) noexcept {
      return hand_over(out, error,
                       [&](ferry_status& why_not) { return QuicConnection::from(connection).open_datagrams(why_not); });
    },
    [](ferry_connection* connection) noexcept { return QuicConnection::from(connection).max_datagram(); }};

constexpr ferry_identity identity_table = {sizeof(ferry_identity), 0,
                                           [](ferry_connection* connection, ferry_identity_item item, void* data,
                                              std::uint64_t size) noexcept -> std::int64_t {
                                             return plugin::guard_hot([&]() -> std::int64_t {
                                               return QuicConnection::from(connection).identity(item, data, size);
                                             });
                                           }};

constexpr ferry_path path_table = {
    sizeof(ferry_path), 0,
    [](ferry_connection* connection, const char* local, std::int64_t deadline_ns, ferry_error* error) noexcept {
      return plugin::guard(
          error, [&]() -> ferry_status { return QuicConnection::from(connection).move(local, deadline_ns, error); });
    },
    [](ferry_connection* connection, ferry_connection_info* out) noexcept {
      return plugin::guard_hot([&]() -> ferry_status {
        ferry_connection_info info{};
        info.kind = FERRY_STREAM;
        info.frame_alignment = 1;
        QuicConnection::from(connection).describe_now(info);
        info.struct_size = out->struct_size;
        std::memcpy(out, &info, std::min<std::size_t>(out->struct_size, sizeof(info)));
        return FERRY_OK;
      });
    }};

SocketAddress local_address_for(const char* text, const SocketAddress& remote, std::int64_t deadline_ns) {
  for (const SocketAddress& candidate :
       plugin::resolve(plugin::parse_host_address(text), plugin::AddressFamily::any, deadline_ns, nullptr)) {
    if (candidate.family() == remote.family()) return candidate;
  }
  throw plugin::Failure(FERRY_INVALID, std::string(text) + " is not of the same version of IP as the peer's address");
}

}  // namespace

void QuicConnection::describe(ferry_connection_info& info) const {
  plugin::copy_address(info.local_address, session().first_local().text());
  plugin::copy_address(info.peer_address, session().first_peer().text());
}

std::int32_t QuicConnection::statistics(ferry_statistic* figures, std::uint32_t capacity) {
  return read_statistics(engine_, session(), figures, capacity);
}

std::unique_ptr<QuicConnection> QuicConnection::open_stream(std::int64_t deadline_ns, ferry_status& why_not) {
  for (;;) {
    std::shared_ptr<Stream> made;
    {
      const Engine::Inside inside(engine_);
      why_not = session().open_stream(*stream_, made);
    }
    if (made != nullptr) return std::make_unique<QuicConnection>(engine_, std::move(made));
    if (why_not != FERRY_WOULD_BLOCK) return nullptr;
    why_not = stream_->wait_for_news(deadline_ns);
    if (why_not != FERRY_OK) return nullptr;
  }
}

std::unique_ptr<QuicStreamListener> QuicConnection::listen_for_streams(ferry_status& why_not) {
  if (session().settings().streams == 0) {
    throw plugin::Failure(FERRY_UNSUPPORTED, "the option streams=0 allows the peer none");
  }
  const Engine::Inside inside(engine_);
  why_not = FERRY_RESET;
  if (session().conn() == nullptr) return nullptr;
  auto queue = session().listen_for_streams();
  if (queue == nullptr) throw plugin::Failure(FERRY_ADDRESS_IN_USE, "this connection has a listener for streams");
  return std::make_unique<QuicStreamListener>(engine_, stream_->session(), std::move(queue));
}

ferry_status QuicConnection::reset(std::uint64_t code) noexcept {
  if (code > max_code) return FERRY_INVALID;
  const Engine::Inside inside(engine_);
  return session().reset_stream(*stream_, code);
}

ferry_status QuicConnection::stop(std::uint64_t code) noexcept {
  if (code > max_code) return FERRY_INVALID;
  const Engine::Inside inside(engine_);
  return session().stop_stream(*stream_, code);
}

std::unique_ptr<QuicDatagrams> QuicConnection::open_datagrams(ferry_status& why_not) {
  if (session().settings().datagrams == 0) {
    throw plugin::Failure(FERRY_UNSUPPORTED, "the option datagrams=0 takes none");
  }
  const Engine::Inside inside(engine_);
  why_not = FERRY_RESET;
  if (session().conn() == nullptr) return nullptr;
  auto datagrams = session().open_datagrams();
  if (datagrams == nullptr) throw plugin::Failure(FERRY_ADDRESS_IN_USE, "the datagrams are open already");
  return std::make_unique<QuicDatagrams>(engine_, stream_, std::move(datagrams));
}

std::int64_t QuicConnection::identity(ferry_identity_item item, void* data, std::uint64_t size) const {
  PeerIdentity known;
  {
    const Engine::Inside inside(engine_);
    known = session().identity();
  }
  std::string out;
  switch (item) {
    case FERRY_IDENTITY_CERTIFICATE:
      out = known.certificate;
      break;
    case FERRY_IDENTITY_FINGERPRINT:
      out = fingerprint_of(known.certificate);
      break;
    case FERRY_IDENTITY_SUBJECT:
      out = subject_of(known.certificate);
      break;
    case FERRY_IDENTITY_PROTOCOL:
      out = known.protocol;
      break;
    case FERRY_IDENTITY_CIPHER:
      out = known.cipher;
      break;
    case FERRY_IDENTITY_RESUMED:
      if (known.known) out = known.resumed ? "yes" : "no";
      break;
    case FERRY_IDENTITY_EARLY_DATA:
      if (known.known) out = known.early ? "yes" : "no";
      break;
    default:
      break;
  }
  if (!out.empty() && out.size() <= size) std::memcpy(data, out.data(), out.size());
  return static_cast<std::int64_t>(out.size());
}

ferry_status QuicConnection::move(const char* local, std::int64_t deadline_ns, ferry_error* error) {
  const SocketAddress& remote = session().first_peer();
  std::optional<SocketAddress> from;
  if (local != nullptr) from = local_address_for(local, remote, deadline_ns);
  for (;;) {
    {
      const Engine::Inside inside(engine_);
      if (session().may_move(*stream_)) break;
    }
    const ferry_status status = stream_->wait_for_news(deadline_ns);
    if (status != FERRY_OK) return plugin::fail(error, status, plugin::text_of(status));
  }
  {
    const Engine::Inside inside(engine_);
    session().begin_move(*stream_, UdpSocket::connected(remote, from ? &*from : nullptr));
  }
  ferry_status status = stream_->wait_for_news(deadline_ns);
  const Engine::Inside inside(engine_);
  if (status == FERRY_OK) {
    status = session().moved();
  } else {
    session().give_up_move();
  }
  if (status == FERRY_UNREACHABLE) return plugin::fail(error, status, "the peer does not answer on the new path");
  return status == FERRY_OK ? status : plugin::fail(error, status, plugin::text_of(status));
}

void QuicConnection::describe_now(ferry_connection_info& info) const {
  const Engine::Inside inside(engine_);
  const auto [local, peer] = session().addresses_now();
  plugin::copy_address(info.local_address, local.text());
  plugin::copy_address(info.peer_address, peer.text());
}

const void* QuicConnection::extension(std::string_view id) noexcept {
  if (id == FERRY_EXT_STATISTICS) return &statistics_table;
  if (id == FERRY_EXT_STREAMS) return &streams_table;
  if (id == FERRY_EXT_DATAGRAMS) return &datagrams_table;
  if (id == FERRY_EXT_IDENTITY) return &identity_table;
  if (id == FERRY_EXT_PATH) return &path_table;
  return id == FERRY_EXT_DRIVE ? &drive_table : nullptr;
}

}  // namespace ferry::quic

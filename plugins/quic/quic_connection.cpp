#include "quic_connection.hpp"

#include "quic_statistics.hpp"

namespace ferry::quic {
namespace {

constexpr ferry_statistics statistics_table = {
    sizeof(ferry_statistics), 0,
    [](ferry_connection* connection, ferry_statistic* figures, std::uint32_t capacity) noexcept -> std::int32_t {
      return plugin::guard_hot(
          [&]() -> std::int32_t { return QuicConnection::from(connection).statistics(figures, capacity); });
    }};

}  // namespace

void QuicConnection::describe(ferry_connection_info& info) const {
  const Session& session = *stream_->session();
  plugin::copy_address(info.local_address, session.first_local().text());
  plugin::copy_address(info.peer_address, session.first_peer().text());
}

std::int32_t QuicConnection::statistics(ferry_statistic* figures, std::uint32_t capacity) {
  return read_statistics(engine_, *stream_->session(), figures, capacity);
}

const void* QuicConnection::extension(std::string_view id) noexcept {
  return id == FERRY_EXT_STATISTICS ? &statistics_table : nullptr;
}

}  // namespace ferry::quic

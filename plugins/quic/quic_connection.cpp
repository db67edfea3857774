#include "quic_connection.hpp"

namespace ferry::quic {

void QuicConnection::describe(ferry_connection_info& info) const {
  const Session& session = *stream_->session();
  plugin::copy_address(info.local_address, session.first_local().text());
  plugin::copy_address(info.peer_address, session.first_peer().text());
}

const void* QuicConnection::extension(std::string_view) noexcept { return nullptr; }

}  // namespace ferry::quic

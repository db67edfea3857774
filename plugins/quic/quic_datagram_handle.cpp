#include "quic_datagram_handle.hpp"

#include <algorithm>

namespace ferry::quic {

std::int64_t QuicDatagrams::write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t,
                                  std::int64_t deadline_ns) {
  if (shut_) return FERRY_CLOSED;
  std::uint64_t size = 0;
  for (std::uint32_t i = 0; i < count; ++i) size += pieces[i].size;
  const std::uint64_t most = stream_->session()->max_datagram();
  if (most == 0) return stream_->session()->phase() == Phase::closed ? FERRY_RESET : FERRY_UNSUPPORTED;
  if (size > most) return FERRY_TOO_LARGE;
  if (size == 0) return FERRY_UNSUPPORTED;  // ngtcp2 0.12 cannot write an empty one
  std::vector<std::uint8_t> datagram;
  datagram.reserve(static_cast<std::size_t>(size));
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto* bytes = static_cast<const std::uint8_t*>(pieces[i].data);
    datagram.insert(datagram.end(), bytes, bytes + pieces[i].size);
  }
  const ferry_status status = datagrams_->write(std::move(datagram), deadline_ns);
  if (status != FERRY_OK) return status;
  engine_.post(*stream_);
  return static_cast<std::int64_t>(size);
}

void QuicDatagrams::describe(ferry_connection_info& info) const {
  const Session& session = *stream_->session();
  info.kind = FERRY_RECORDS;
  info.max_record = session.max_datagram_of_any_path();
  plugin::copy_address(info.local_address, session.first_local().text());
  plugin::copy_address(info.peer_address, session.first_peer().text());
}

}  // namespace ferry::quic

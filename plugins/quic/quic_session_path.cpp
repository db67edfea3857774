// The path of a connection: a client moves to another local address, and either end says where the two are now.
#include "ferry/sdk/os_error.hpp"
#include "quic_session.hpp"

namespace ferry::quic {

using plugin::Failure;

bool Session::may_move(Stream& asking) {
  if (server_) throw Failure(FERRY_UNSUPPORTED, "only a client's end of a connection can move (RFC 9000, section 9)");
  if (conn_ == nullptr) throw Failure(FERRY_RESET, "the peers are not connected any more");
  if (ngtcp2_conn_get_remote_transport_params(conn_)->disable_active_migration != 0) {
    throw Failure(FERRY_UNSUPPORTED, "the peer forbids moving");
  }
  if (confirmed_) return true;
  expect_news(asking);
  return false;
}

/// Asks the peer whether it can be reached from `socket`; `asking` is told when it has answered, or not.
void Session::begin_move(Stream& asking, UdpSocket socket) {
  if (conn_ == nullptr) throw Failure(FERRY_RESET, "the peers are not connected any more");
  give_up_move();
  next_socket_ = std::make_unique<UdpSocket>(std::move(socket));
  engine_.add_socket(*next_socket_, *this);
  const ngtcp2_path path = path_between(next_socket_->local(), remote_);
  const int result = ngtcp2_conn_initiate_migration(conn_, &path, now_ns());
  if (result != 0) {
    drop_socket(next_socket_);
    if (result == NGTCP2_ERR_CONN_ID_BLOCKED) {
      throw Failure(FERRY_NO_RESOURCES, "the peer has given no spare connection id yet; try again");
    }
    throw Failure(FERRY_INTERNAL, ngtcp2_strerror(result));
  }
  asking.expect_news();
  mover_ = asking.shared_from_this();
  engine_.flush_later(*this);
}

/// Nobody waits for it any more. ngtcp2 keeps on asking for a while, which is of no use without a socket.
void Session::give_up_move() noexcept {
  drop_socket(next_socket_);
  mover_.reset();
}

/// FERRY_OK where the last move went through.
ferry_status Session::moved() const noexcept {
  if (conn_ == nullptr) return FERRY_RESET;
  return next_socket_ == nullptr && mover_ == nullptr && move_succeeded_ ? FERRY_OK : FERRY_UNREACHABLE;
}

/// Called by ngtcp2, in the middle of a packet: the old socket may be what it came by, and is kept until the next move,
/// as is right for packets that are still on their way.
void Session::path_decided(const ngtcp2_path& path, bool valid) noexcept {
  if (valid) ++counters_.path_changes;
  if (next_socket_ == nullptr || !(address_of(path.local) == next_socket_->local())) return;
  move_succeeded_ = valid;
  if (valid) {
    drop_socket(previous_socket_);
    previous_socket_ = std::move(own_socket_);
    own_socket_ = std::move(next_socket_);
  } else {
    drop_socket(next_socket_);
  }
  if (mover_ != nullptr) std::exchange(mover_, nullptr)->tell_news();
}

void Session::drop_socket(std::unique_ptr<UdpSocket>& socket) noexcept {
  if (socket != nullptr) engine_.retire_socket(std::move(socket));
}

/// The socket that packets from `local` leave by; null: it is gone, and they are lost.
UdpSocket* Session::socket_at(const SocketAddress& local) noexcept {
  if (server_) return &socket();
  for (const auto* socket : {&own_socket_, &next_socket_, &previous_socket_}) {
    if (*socket != nullptr && (*socket)->local() == local) return socket->get();
  }
  return nullptr;
}

std::pair<SocketAddress, SocketAddress> Session::addresses_now() const noexcept {
  if (conn_ == nullptr) return {local_, remote_};
  const ngtcp2_path* path = ngtcp2_conn_get_path(conn_);
  return {address_of(path->local), address_of(path->remote)};
}

}  // namespace ferry::quic

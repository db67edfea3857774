#include "uds_connection.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "ferry/sdk/credentials.hpp"
#include "ferry/sdk/passed_fds.hpp"
#include "uds_options.hpp"

namespace ferry::uds {
void fill_buffers(const plugin::SocketBuffers& granted, ferry_value* values, std::uint32_t count) noexcept {
  if (count > option_sndbuf && granted.send >= 0) values[option_sndbuf] = {granted.send, nullptr, 1, 0};
  if (count > option_rcvbuf && granted.receive >= 0) values[option_rcvbuf] = {granted.receive, nullptr, 1, 0};
}

void UdsConnection::describe(ferry_connection_info& info) const noexcept {
  plugin::copy_address(info.local_address, local_address_);
  plugin::copy_address(info.peer_address, peer_address_);
}

void UdsConnection::effective(ferry_value* values, std::uint32_t count) const noexcept {
  std::fill_n(values, count, ferry_value{});
  fill_buffers(plugin::granted_socket_buffers(stream_.fd()), values, count);
}

std::int64_t UdsConnection::send_fds(const void* data, std::uint64_t size, const std::int32_t* fds, std::uint32_t count,
                                     std::int64_t deadline_ns) noexcept {
  if (size == 0 || count > FERRY_MAX_FDS) return FERRY_INVALID;
  plugin::FdsToSend passed(fds, count);
  iovec piece{const_cast<void*>(data), size};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  passed.attach(message);
  return stream_.write_with(deadline_ns,
                            [&] { return ::sendmsg(stream_.fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT); });
}

std::int64_t UdsConnection::receive_fds(void* data, std::uint64_t size, std::int32_t* fds, std::uint32_t& count,
                                        std::int64_t deadline_ns) noexcept {
  const std::uint32_t capacity = std::exchange(count, 0);
  if (size == 0) return FERRY_INVALID;
  plugin::ReceivedFds arrived;
  iovec piece{data, size};
  msghdr message{};
  const std::int64_t received = stream_.read_with(deadline_ns, [&] {
    message = {};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    arrived.make_room(message);
    return ::recvmsg(stream_.fd(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  });
  if (received < 0) return received;
  arrived.take_from(message);
  if ((message.msg_flags & MSG_CTRUNC) != 0) return FERRY_NO_RESOURCES;
  if (arrived.count() > capacity) return FERRY_TOO_LARGE;
  count = static_cast<std::uint32_t>(arrived.count());
  arrived.release(fds);
  return received;
}

std::int32_t UdsConnection::statistics(ferry_statistic* figures, std::uint32_t capacity) const noexcept {
  static constexpr struct {
    const char* name;
    unsigned long request;
  } rows[] = {{"receive_queue", SIOCINQ}, {"send_queue", SIOCOUTQ}};
  std::uint32_t filled = 0;
  for (const auto& row : rows) {
    int bytes = 0;
    if (filled < capacity && ::ioctl(stream_.fd(), row.request, &bytes) == 0) {
      figures[filled++] = {row.name, "bytes", bytes};
    }
  }
  return static_cast<std::int32_t>(std::size(rows));
}

const void* UdsConnection::extension(std::string_view id) noexcept {
  static constexpr ferry_peer peer{sizeof(ferry_peer), 0,
                                   [](ferry_connection* connection, ferry_credentials* out) noexcept -> ferry_status {
                                     return plugin::fill_credentials(from(connection).stream_.fd(), *out);
                                   }};
  static constexpr ferry_fds fds{
      sizeof(ferry_fds), 0,
      [](ferry_connection* connection, const void* data, std::uint64_t size, const std::int32_t* sent,
         std::uint32_t count, std::int64_t deadline_ns) noexcept -> std::int64_t {
        return from(connection).send_fds(data, size, sent, count, deadline_ns);
      },
      [](ferry_connection* connection, void* data, std::uint64_t size, std::int32_t* received, std::uint32_t* count,
         std::int64_t deadline_ns) noexcept -> std::int64_t {
        return from(connection).receive_fds(data, size, received, *count, deadline_ns);
      }};
  static constexpr ferry_splice splice{
      sizeof(ferry_splice), 0, nullptr,
      [](ferry_connection* connection, std::int64_t pipe, std::uint64_t size) noexcept -> std::int64_t {
        return from(connection).stream_.receive_into(static_cast<int>(pipe), size);
      },
      [](ferry_connection* connection, std::int64_t pipe, std::uint64_t size) noexcept -> std::int64_t {
        return from(connection).stream_.send_from(static_cast<int>(pipe), size);
      }};
  static constexpr ferry_statistics statistics{
      sizeof(ferry_statistics), 0,
      [](ferry_connection* connection, ferry_statistic* figures, std::uint32_t capacity) noexcept -> std::int32_t {
        return from(connection).statistics(figures, capacity);
      }};
  if (id == FERRY_EXT_PEER) return &peer;
  if (id == FERRY_EXT_FDS) return &fds;
  if (id == FERRY_EXT_SPLICE) return &splice;
  if (id == FERRY_EXT_STATISTICS) return &statistics;
  return nullptr;
}

}  // namespace ferry::uds

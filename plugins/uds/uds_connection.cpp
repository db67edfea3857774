#include "uds_connection.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "ferry/sdk/credentials.hpp"
#include "uds_options.hpp"

namespace ferry::uds {
namespace {

// The kernel lets a message carry 253 descriptors (SCM_MAX_FD), whatever our own limit is: room for all of them means
// that none is dropped silently, and that MSG_CTRUNC can only mean that the process is out of descriptors.
constexpr std::size_t max_fds_per_message = 253;
constexpr std::size_t control_size = CMSG_SPACE(max_fds_per_message * sizeof(int));

/// The descriptors of a received message; closes what nobody takes.
class ReceivedFds {
 public:
  explicit ReceivedFds(msghdr& message) noexcept {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      const std::size_t here = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      const std::size_t taken = std::min(here, max_fds_per_message - count_);
      std::memcpy(fds_ + count_, CMSG_DATA(header), taken * sizeof(int));
      count_ += taken;
    }
  }
  ReceivedFds(const ReceivedFds&) = delete;
  ReceivedFds& operator=(const ReceivedFds&) = delete;
  ~ReceivedFds() {
    for (std::size_t i = 0; i < count_; ++i) ::close(fds_[i]);
  }

  std::size_t count() const noexcept { return count_; }
  void take(std::int32_t* out) noexcept {
    std::copy(fds_, fds_ + count_, out);
    count_ = 0;
  }

 private:
  int fds_[max_fds_per_message];
  std::size_t count_ = 0;
};

}  // namespace

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
  alignas(cmsghdr) char control[CMSG_SPACE(FERRY_MAX_FDS * sizeof(int))] = {};
  iovec piece{const_cast<void*>(data), size};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds, count * sizeof(int));
  }
  return stream_.write_with(deadline_ns,
                            [&] { return ::sendmsg(stream_.fd(), &message, MSG_NOSIGNAL | MSG_DONTWAIT); });
}

std::int64_t UdsConnection::receive_fds(void* data, std::uint64_t size, std::int32_t* fds, std::uint32_t& count,
                                        std::int64_t deadline_ns) noexcept {
  const std::uint32_t capacity = std::exchange(count, 0);
  if (size == 0) return FERRY_INVALID;
  alignas(cmsghdr) char control[control_size];
  iovec piece{data, size};
  msghdr message{};
  const std::int64_t received = stream_.read_with(deadline_ns, [&] {
    message = {};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    return ::recvmsg(stream_.fd(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  });
  if (received < 0) return received;
  ReceivedFds arrived(message);
  if ((message.msg_flags & MSG_CTRUNC) != 0) return FERRY_NO_RESOURCES;
  if (arrived.count() > capacity) return FERRY_TOO_LARGE;
  count = static_cast<std::uint32_t>(arrived.count());
  arrived.take(fds);
  return received;
}

ferry_status UdsConnection::credentials(ferry_credentials& out) const noexcept {
  const auto who = plugin::peer_credentials(stream_.fd());
  if (!who) return FERRY_UNSUPPORTED;
  out.uid = who->uid;
  out.gid = who->gid;
  out.pid = who->pid == 0 ? -1 : who->pid;
  return FERRY_OK;
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
                                     return from(connection).credentials(*out);
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
  static constexpr ferry_statistics statistics{
      sizeof(ferry_statistics), 0,
      [](ferry_connection* connection, ferry_statistic* figures, std::uint32_t capacity) noexcept -> std::int32_t {
        return from(connection).statistics(figures, capacity);
      }};
  if (id == FERRY_EXT_PEER) return &peer;
  if (id == FERRY_EXT_FDS) return &fds;
  if (id == FERRY_EXT_STATISTICS) return &statistics;
  return nullptr;
}

}  // namespace ferry::uds

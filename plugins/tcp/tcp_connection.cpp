#include "tcp_connection.hpp"

#include <algorithm>
#include <cerrno>

#include "tcp_options.hpp"
#include "tcp_sendfile.hpp"
#include "tcp_statistics.hpp"

namespace ferry::tcp {
namespace {

/// Linux moves at most this much in one call (MAX_RW_COUNT, sendfile(2)).
constexpr std::uint64_t max_sendfile_bytes = 0x7ffff000;

/// Errors that mean that this file is none that sendfile can read, whatever else it may be.
bool is_of_the_file(int error) {
  return error == EINVAL || error == ESPIPE || error == EISDIR || error == EBADF || error == ENOSYS ||
         error == EOPNOTSUPP || error == EOVERFLOW;
}

}  // namespace

void TcpConnection::describe(ferry_connection_info& info) const {
  plugin::copy_address(info.local_address, SocketAddress::local_of(stream_.fd()).text());
  plugin::copy_address(info.peer_address, peer_.text());
}

void TcpConnection::effective(ferry_value* values, std::uint32_t count) const {
  read_back(stream_.fd(), values, count);
}

std::int64_t TcpConnection::send_file(int file, std::uint64_t offset, std::uint64_t size,
                                      std::int64_t deadline_ns) noexcept {
  if (size == 0) return 0;
  stream_.end_naps();
  bool unsupported = false;
  const std::int64_t sent = stream_.write_with(deadline_ns, [&] {
    const ssize_t result = send_file_without_signal(stream_.fd(), file, offset,
                                                    static_cast<std::size_t>(std::min(size, max_sendfile_bytes)));
    unsupported = result < 0 && is_of_the_file(errno);
    return result;
  });
  return unsupported ? std::int64_t{FERRY_UNSUPPORTED} : sent;
}

const void* TcpConnection::extension(std::string_view id) noexcept {
  static constexpr ferry_file file = {
      sizeof(ferry_file), 0,
      [](ferry_connection* connection, std::int64_t descriptor, std::uint64_t offset, std::uint64_t size,
         std::int64_t deadline_ns) noexcept {
        return from(connection).send_file(static_cast<int>(descriptor), offset, size, deadline_ns);
      }};
  // There is no `send`: a page handed to TCP costs more than its copy.
  static constexpr ferry_splice splice = {
      sizeof(ferry_splice), 0, nullptr,
      [](ferry_connection* connection, std::int64_t pipe, std::uint64_t size) noexcept {
        return from(connection).stream_.receive_into(static_cast<int>(pipe), size);
      },
      nullptr};
  static constexpr ferry_statistics statistics = {
      sizeof(ferry_statistics), 0,
      [](ferry_connection* connection, ferry_statistic* figures, std::uint32_t capacity) noexcept {
        return read_statistics(from(connection).stream_.fd(), figures, capacity);
      }};
  if (id == FERRY_EXT_FILE) return &file;
  if (id == FERRY_EXT_SPLICE) return &splice;
  if (id == FERRY_EXT_STATISTICS) return &statistics;
  return nullptr;
}

}  // namespace ferry::tcp

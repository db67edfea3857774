// The uds transport on Windows: Unix sockets as Winsock has them since Windows 10 1803: streams on a path, without
// credentials, passed descriptors or abstract names. Unverified on Windows: Wine 8, which runs the tests, has none.
#include <winsock2.h>
// after winsock2.h
#include <afunix.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "ferry/plugin.hpp"
#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/security_descriptor.hpp"
#include "ferry/sdk/socket_acceptor.hpp"
#include "ferry/sdk/socket_stream.hpp"

namespace ferry::uds {
namespace {

using plugin::Failure;
using plugin::UniqueSocket;

/// As Windows has it: "/C:/run/app.sock", which a descriptor can say, is C:\run\app.sock.
std::string system_path(std::string_view path) {
  if (path.size() > 2 && path[0] == '/' && path[2] == ':') path.remove_prefix(1);
  std::string out(path);
  std::replace(out.begin(), out.end(), '/', '\\');
  return out;
}

sockaddr_un parse(std::string_view text) {
  const std::string path = system_path(text);
  if (path.empty()) throw Failure(FERRY_INVALID, "the address is empty; give a path such as /C:/run/app.sock");
  if (path.front() == '@') {
    throw Failure(FERRY_INVALID, "Windows has no abstract names; give a path, or use npipe://./pipe/<name>");
  }
  sockaddr_un address{};
  if (path.size() >= sizeof(address.sun_path)) {
    throw Failure(FERRY_INVALID, "the path has " + std::to_string(path.size()) + " bytes; Windows takes at most " +
                                     std::to_string(sizeof(address.sun_path) - 1));
  }
  if (path.find('\0') != std::string_view::npos) throw Failure(FERRY_INVALID, "the path holds a NUL");
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

void remove_file(std::string_view path) noexcept { ::DeleteFileW(plugin::wide(system_path(path)).c_str()); }

const sockaddr* base(const sockaddr_un& address) noexcept { return reinterpret_cast<const sockaddr*>(&address); }

UniqueSocket open_socket() try { return plugin::open_stream_socket(AF_UNIX, 0); } catch (const Failure& failure) {
  if (failure.os_error() != WSAEAFNOSUPPORT && failure.os_error() != WSAEPROTONOSUPPORT) throw;
  throw Failure(FERRY_UNSUPPORTED, "this Windows has no Unix sockets (10 1803 and later do); use npipe://./pipe/<name>",
                failure.os_error());
}

class UnixConnection : public plugin::Connection<UnixConnection> {
 public:
  UnixConnection(UniqueSocket socket, std::string local, std::string peer)
      : stream_(std::move(socket)), local_(std::move(local)), peer_(std::move(peer)) {}

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept {
    return stream_.read(data, size, deadline_ns);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                     std::int64_t deadline_ns) noexcept {
    return stream_.write(pieces, count, flags, deadline_ns);
  }
  std::int32_t arm(ferry_interest interest) noexcept { return stream_.arm(interest); }
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) noexcept {
    return stream_.pollable(interest, out);
  }
  ferry_status shutdown_write() noexcept { return stream_.shutdown_write(); }
  void interrupt() noexcept { stream_.interrupt(); }
  ferry_status finish(std::int64_t deadline_ns) noexcept { return stream_.finish(deadline_ns); }
  void describe(ferry_connection_info& info) const {
    plugin::copy_address(info.local_address, local_);
    plugin::copy_address(info.peer_address, peer_);
  }

 private:
  plugin::SocketStream stream_;
  const std::string local_;
  const std::string peer_;
};

/// The socket's file is a reparse point, which is removed like a file; Windows does not do so by itself.
class UnixListener : public plugin::Listener<UnixListener> {
 public:
  UnixListener(UniqueSocket socket, std::string path) : acceptor_(std::move(socket)), path_(std::move(path)) {}
  ~UnixListener() { remove_file(path_); }

  std::unique_ptr<UnixConnection> accept(std::int64_t deadline_ns, ferry_status& why_not) {
    UniqueSocket client = acceptor_.accept(deadline_ns, why_not);
    return client ? std::make_unique<UnixConnection>(std::move(client), path_, std::string()) : nullptr;
  }
  std::int32_t arm() noexcept { return acceptor_.arm(); }
  ferry_status pollable(ferry_pollable& out) const noexcept { return acceptor_.pollable(out); }
  void interrupt() noexcept { acceptor_.interrupt(); }
  std::string local_address() const { return path_; }

 private:
  plugin::SocketAcceptor acceptor_;
  const std::string path_;
};

class UnixTransport : public plugin::Transport<UnixTransport> {
 public:
  UnixTransport(const ferry_host&, plugin::Options) {
    WSADATA data;
    if (const int error = ::WSAStartup(MAKEWORD(2, 2), &data); error != 0) {
      throw plugin::os_failure(error, "cannot start Winsock");
    }
  }
  ~UnixTransport() { ::WSACleanup(); }

  std::unique_ptr<UnixConnection> connect(const char* path, plugin::Options, std::int64_t deadline_ns,
                                          const ferry_cancel* cancel, ferry_status& why_not) {
    const sockaddr_un address = parse(path);
    UniqueSocket socket = open_socket();
    why_not = plugin::connect_socket(socket.get(), base(address), sizeof(address), deadline_ns, cancel);
    if (why_not != FERRY_OK) return nullptr;
    return std::make_unique<UnixConnection>(std::move(socket), std::string(), path);
  }

  std::unique_ptr<UnixListener> listen(const char* path, plugin::Options) {
    const sockaddr_un address = parse(path);
    UniqueSocket socket = open_socket();
    if (::bind(socket.get(), base(address), sizeof(address)) != 0) {
      const int error = ::WSAGetLastError();
      const bool taken = error == WSAEADDRINUSE;
      throw Failure(plugin::status_of_errno(error),
                    plugin::os_text(error) + (taken ? "; if nobody listens there any more, delete the file" : ""),
                    error);
    }
    if (::listen(socket.get(), SOMAXCONN) != 0) {
      const int error = ::WSAGetLastError();
      remove_file(path);
      throw plugin::os_failure(error);
    }
    return std::make_unique<UnixListener>(std::move(socket), path);
  }

  static void check_address(std::string_view path) { (void)parse(path); }
};

constexpr const char* schemes[] = {"uds", "unix", nullptr};

}  // namespace
}  // namespace ferry::uds

FERRY_PLUGIN(ferry::uds::UnixTransport,
             {.name = "uds",
              .version = "0.1.0",
              .description = "Unix sockets, on a path",
              .licence = "Apache-2.0",
              .schemes = ferry::uds::schemes,
              .capabilities = FERRY_CAP_STREAM | FERRY_CAP_HALF_CLOSE | FERRY_CAP_LOCAL | FERRY_CAP_EPHEMERAL,
              .ephemeral_address = "{dir}/{name}.sock"});

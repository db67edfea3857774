// mini: a whole stream transport in one short file: TCP between processes of one machine. Address: the port number.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <charconv>
#include <ferry/plugin.hpp>
#include <ferry/sdk/accept_socket.hpp>
#include <ferry/sdk/os_error.hpp>
#include <ferry/sdk/stream_socket.hpp>

namespace {

using namespace ferry::plugin;

sockaddr_in parse(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (problem != std::errc() || end != text.data() + text.size())
    throw Failure(FERRY_INVALID, "the address must be a port number, 0 to 65535");
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return name;
}

UniqueFd open_socket() {
  UniqueFd made(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made) throw os_failure(errno, "socket");
  return made;
}

class MiniConnection : public Connection<MiniConnection> {
 public:
  explicit MiniConnection(UniqueFd fd) : socket_(std::move(fd), StreamSocket::Kind::network) {
    const int on = 1;
    setsockopt(socket_.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline) {
    return socket_.read(data, size, deadline);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags, std::int64_t deadline) {
    return socket_.write(pieces, count, flags, deadline);
  }
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) { return socket_.pollable(interest, out); }
  ferry_status shutdown_write() { return socket_.shutdown_write(); }
  void interrupt() { socket_.interrupt(); }
  ferry_status finish(std::int64_t deadline) { return socket_.finish(deadline); }
  void abort_now() { socket_.reset_on_close(); }
  void describe(ferry_connection_info&) {}  // a stream without lending: the defaults say it all

 private:
  StreamSocket socket_;
};

class MiniListener : public Listener<MiniListener> {
 public:
  explicit MiniListener(const sockaddr_in& name) : socket_(open_socket()) {
    const int on = 1;
    setsockopt(socket_.get(), SOL_SOCKET, SO_REUSEADDR, &on,
               sizeof on);  // else the port is unusable for a minute after
    if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
      throw os_failure(errno, "bind");
    if (listen(socket_.get(), SOMAXCONN) != 0) throw os_failure(errno, "listen");
  }
  std::unique_ptr<MiniConnection> accept(std::int64_t deadline, ferry_status& why_not) {
    UniqueFd client;
    why_not = accept_socket(socket_.get(), interrupt_, deadline, client);
    return why_not == FERRY_OK ? std::make_unique<MiniConnection>(std::move(client)) : nullptr;
  }
  ferry_status pollable(ferry_pollable& out) {
    out.handle = socket_.get();
    out.events = FERRY_POLL_IN;
    return FERRY_OK;
  }
  void interrupt() { interrupt_.raise(); }
  std::string local_address() {
    sockaddr_in name{};
    socklen_t size = sizeof name;
    getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&name), &size);
    return std::to_string(ntohs(name.sin_port));
  }

 private:
  UniqueFd socket_;
  Interrupt interrupt_;
};

class MiniTransport : public Transport<MiniTransport> {
 public:
  MiniTransport(const ferry_host&, Options) {}
  static void check_address(std::string_view text) { parse(text); }

  std::unique_ptr<MiniConnection> connect(const char* address, Options, std::int64_t deadline,
                                          const ferry_cancel* cancel, ferry_status& why_not) {
    const sockaddr_in name = parse(address);
    if (deadline == FERRY_NO_WAIT) return nullptr;  // a TCP handshake takes waiting; why_not is WOULD_BLOCK already
    UniqueFd fd = open_socket();
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
      int error = errno;
      if (error == EINPROGRESS) {
        why_not = wait_ready(fd.get(), POLLOUT, deadline, cancel);
        if (why_not != FERRY_OK) return nullptr;
        socklen_t size = sizeof error;
        getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
      }
      if (error != 0) throw os_failure(error);
    }
    return std::make_unique<MiniConnection>(std::move(fd));
  }
  std::unique_ptr<MiniListener> listen(const char* address, Options) {
    return std::make_unique<MiniListener>(parse(address));
  }
};

constexpr const char* schemes[] = {"mini", nullptr};
constexpr std::uint64_t capabilities =
    FERRY_CAP_STREAM | FERRY_CAP_HALF_CLOSE | FERRY_CAP_RESET | FERRY_CAP_LOCAL | FERRY_CAP_EPHEMERAL;

}  // namespace

FERRY_PLUGIN(MiniTransport, {.name = "mini",
                             .version = "1.0.0",
                             .description = "TCP between processes of one machine",
                             .licence = "0BSD",
                             .schemes = schemes,
                             .capabilities = capabilities,
                             .ephemeral_address = "0"});

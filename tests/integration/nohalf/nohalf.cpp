// nohalf: TCP between processes of one machine, without half-close. Address: the port number. A plain socket is its
// peer.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
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
  if (problem != std::errc() || end != text.data() + text.size()) throw Failure(FERRY_INVALID, "the address is a port");
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return name;
}

UniqueFd open_socket(int flags) {
  UniqueFd made(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  if (!made) throw os_failure(errno, "socket");
  return made;
}

class NohalfConnection : public Connection<NohalfConnection> {
 public:
  explicit NohalfConnection(UniqueFd fd) : socket_(std::move(fd), StreamSocket::Kind::network) {}
  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline) {
    return socket_.read(data, size, deadline);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags, std::int64_t deadline) {
    return socket_.write(pieces, count, flags, deadline);
  }
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) { return socket_.pollable(interest, out); }
  void interrupt() { socket_.interrupt(); }
  ferry_status finish(std::int64_t deadline) { return socket_.finish(deadline); }
  void abort_now() { socket_.reset_on_close(); }
  void describe(ferry_connection_info&) {}

 private:
  StreamSocket socket_;
};

class NohalfListener : public Listener<NohalfListener> {
 public:
  explicit NohalfListener(const sockaddr_in& name) : socket_(open_socket(SOCK_NONBLOCK)) {
    if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
      throw os_failure(errno, "bind");
    if (listen(socket_.get(), SOMAXCONN) != 0) throw os_failure(errno, "listen");
  }
  std::unique_ptr<NohalfConnection> accept(std::int64_t deadline, ferry_status& why_not) {
    UniqueFd client;
    why_not = accept_socket(socket_.get(), interrupt_, deadline, client);
    return why_not == FERRY_OK ? std::make_unique<NohalfConnection>(std::move(client)) : nullptr;
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

class NohalfTransport : public Transport<NohalfTransport> {
 public:
  NohalfTransport(const ferry_host&, Options) {}
  static void check_address(std::string_view text) { parse(text); }

  std::unique_ptr<NohalfConnection> connect(const char* address, Options, std::int64_t deadline, const ferry_cancel*,
                                            ferry_status&) {
    const sockaddr_in name = parse(address);
    if (deadline == FERRY_NO_WAIT) return nullptr;
    UniqueFd fd = open_socket(0);  // connects at once or is refused: it is this machine
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) throw os_failure(errno);
    if (fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) throw os_failure(errno, "fcntl");
    return std::make_unique<NohalfConnection>(std::move(fd));
  }
  std::unique_ptr<NohalfListener> listen(const char* address, Options) {
    return std::make_unique<NohalfListener>(parse(address));
  }
};

constexpr const char* schemes[] = {"nohalf", nullptr};

}  // namespace

FERRY_PLUGIN(NohalfTransport,
             {.name = "nohalf",
              .version = "1.0.0",
              .description = "TCP between processes of one machine, without half-close",
              .licence = "0BSD",
              .schemes = schemes,
              .capabilities = FERRY_CAP_STREAM | FERRY_CAP_RESET | FERRY_CAP_LOCAL | FERRY_CAP_EPHEMERAL,
              .ephemeral_address = "0"});

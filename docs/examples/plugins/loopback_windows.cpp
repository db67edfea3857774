// loopback: a whole stream transport for Windows in one short file: TCP between processes of one machine. Address: the
// port number.
#include <charconv>
#include <ferry/plugin.hpp>
#include <ferry/sdk/os_error.hpp>
#include <ferry/sdk/socket_acceptor.hpp>
#include <ferry/sdk/socket_stream.hpp>

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

class LoopbackConnection : public Connection<LoopbackConnection> {
 public:
  explicit LoopbackConnection(UniqueSocket socket) : stream_(std::move(socket)) {}
  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline) {
    return stream_.read(data, size, deadline);
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags, std::int64_t deadline) {
    return stream_.write(pieces, count, flags, deadline);
  }
  std::int32_t arm(ferry_interest interest) { return stream_.arm(interest); }
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) { return stream_.pollable(interest, out); }
  ferry_status shutdown_write() { return stream_.shutdown_write(); }
  void interrupt() { stream_.interrupt(); }
  ferry_status finish(std::int64_t deadline) { return stream_.finish(deadline); }
  void abort_now() { stream_.reset_on_close(); }
  void describe(ferry_connection_info& info) const { copy_address(info.local_address, "loopback"); }

 private:
  SocketStream stream_;
};

class LoopbackListener : public Listener<LoopbackListener> {
 public:
  explicit LoopbackListener(UniqueSocket socket) : acceptor_(std::move(socket)) {}
  std::unique_ptr<LoopbackConnection> accept(std::int64_t deadline, ferry_status& why_not) {
    UniqueSocket client = acceptor_.accept(deadline, why_not);
    return client ? std::make_unique<LoopbackConnection>(std::move(client)) : nullptr;
  }
  std::int32_t arm() { return acceptor_.arm(); }
  ferry_status pollable(ferry_pollable& out) { return acceptor_.pollable(out); }
  void interrupt() { acceptor_.interrupt(); }
  std::string local_address() const {
    sockaddr_in name{};
    int size = sizeof name;
    getsockname(acceptor_.socket(), reinterpret_cast<sockaddr*>(&name), &size);
    return std::to_string(ntohs(name.sin_port));
  }

 private:
  SocketAcceptor acceptor_;
};

class Loopback : public Transport<Loopback> {
 public:
  Loopback(const ferry_host&, Options) {
    WSADATA data;
    WSAStartup(MAKEWORD(2, 2), &data);
  }
  ~Loopback() { WSACleanup(); }

  std::unique_ptr<LoopbackConnection> connect(const char* address, Options, std::int64_t deadline,
                                              const ferry_cancel* cancel, ferry_status& why_not) {
    const sockaddr_in name = parse(address);
    if (name.sin_port == 0) throw Failure(FERRY_INVALID, "port 0 is for listening");
    UniqueSocket socket = open_stream_socket(AF_INET, IPPROTO_TCP);
    why_not = connect_socket(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name, deadline, cancel);
    return why_not == FERRY_OK ? std::make_unique<LoopbackConnection>(std::move(socket)) : nullptr;
  }

  std::unique_ptr<LoopbackListener> listen(const char* address, Options) {
    const sockaddr_in name = parse(address);
    UniqueSocket socket = open_stream_socket(AF_INET, IPPROTO_TCP);
    const int on = 1;
    setsockopt(socket.get(), SOL_SOCKET, SO_EXCLUSIVEADDRUSE, reinterpret_cast<const char*>(&on), sizeof on);
    if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0 ||
        ::listen(socket.get(), SOMAXCONN) != 0)
      throw os_failure(WSAGetLastError());
    return std::make_unique<LoopbackListener>(std::move(socket));
  }

  static void check_address(std::string_view address) { parse(address); }
};

constexpr const char* schemes[] = {"loopback", nullptr};

}  // namespace

FERRY_PLUGIN(Loopback, {.name = "loopback",
                        .version = "1.0",
                        .description = "TCP within one machine",
                        .licence = "Apache-2.0",
                        .schemes = schemes,
                        .capabilities = FERRY_CAP_STREAM | FERRY_CAP_HALF_CLOSE | FERRY_CAP_RESET | FERRY_CAP_LOCAL |
                                        FERRY_CAP_EPHEMERAL,
                        .options = nullptr,
                        .option_count = 0,
                        .ephemeral_address = "0"});

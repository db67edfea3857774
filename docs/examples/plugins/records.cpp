// records: a record transport over AF_UNIX SOCK_SEQPACKET. Address: the path of the socket file.
// Wire: each record travels behind one byte, because the kernel shows an empty packet and the end of the stream alike.
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <ferry/plugin.hpp>
#include <ferry/sdk/accept_socket.hpp>
#include <ferry/sdk/os_error.hpp>
#include <ferry/sdk/stream_socket.hpp>

namespace {

using namespace ferry::plugin;

// A packet must fit in the socket's send buffer whole; this is well below the smallest default of Linux.
constexpr std::uint64_t max_record_bytes = 65536;
constexpr int retry_ms = 5;

sockaddr_un parse(std::string_view text) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (text.empty() || text.size() >= sizeof name.sun_path)
    throw Failure(FERRY_INVALID, "the address must be a path of 1 to 107 bytes");
  std::memcpy(name.sun_path, text.data(), text.size());
  return name;
}

UniqueFd open_socket() {
  UniqueFd made(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made) throw os_failure(errno, "socket");
  return made;
}

class RecordConnection : public Connection<RecordConnection> {
 public:
  explicit RecordConnection(UniqueFd fd) : socket_(std::move(fd), StreamSocket::Kind::local) {}

  std::int64_t read(void* data, std::uint64_t size, std::int64_t deadline) {
    // The whole packet's size; it stays queued.
    const auto look = [&] { return recv(socket_.fd(), nullptr, 0, MSG_PEEK | MSG_TRUNC); };
    // The kernel looks for a packet and then for the end. A last packet that comes in between is missed, but not twice.
    const std::int64_t packet = socket_.read_with(deadline, [&] {
      const ssize_t found = look();
      return found != 0 ? found : look();
    });
    if (packet < 0) return packet;
    if (static_cast<std::uint64_t>(packet) - 1 > size) return FERRY_TOO_LARGE;
    char prefix = 0;
    iovec pieces[] = {{&prefix, 1}, {data, size}};
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = 2;
    const std::int64_t got = socket_.read_with(deadline, [&] { return recvmsg(socket_.fd(), &message, 0); });
    return got > 0 ? got - 1 : got;
  }
  std::int64_t write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t, std::int64_t deadline) {
    if (ended_) return FERRY_CLOSED;
    char prefix = 0;
    iovec all[FERRY_MAX_IOVECS + 1] = {{&prefix, 1}};
    std::uint64_t size = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
      all[i + 1] = {const_cast<void*>(pieces[i].data), pieces[i].size};
      size += pieces[i].size;
    }
    if (size > max_record_bytes) return FERRY_TOO_LARGE;
    msghdr message{};
    message.msg_iov = all;
    message.msg_iovlen = count + 1;
    const std::int64_t sent =
        socket_.write_with(deadline, [&] { return sendmsg(socket_.fd(), &message, MSG_NOSIGNAL); });
    return sent > 0 ? sent - 1 : sent;
  }
  ferry_status pollable(ferry_interest interest, ferry_pollable& out) { return socket_.pollable(interest, out); }
  ferry_status shutdown_write() {
    ended_ = true;
    return socket_.shutdown_write();
  }
  void interrupt() { socket_.interrupt(); }
  ferry_status finish(std::int64_t deadline) {
    ended_ = true;
    return socket_.finish(deadline);
  }
  void describe(ferry_connection_info& info) {
    info.kind = FERRY_RECORDS;
    info.max_record = max_record_bytes;
  }

 private:
  StreamSocket socket_;
  bool ended_ = false;
};

class RecordListener : public Listener<RecordListener> {
 public:
  explicit RecordListener(const sockaddr_un& name) : socket_(open_socket()), name_(name) {
    if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&name_), sizeof name_) != 0)
      throw os_failure(errno, "bind");
    if (::listen(socket_.get(), SOMAXCONN) != 0) throw os_failure(errno, "listen");
  }
  ~RecordListener() { unlink(name_.sun_path); }

  std::unique_ptr<RecordConnection> accept(std::int64_t deadline, ferry_status& why_not) {
    UniqueFd client;
    why_not = accept_socket(socket_.get(), interrupt_, deadline, client);
    return why_not == FERRY_OK ? std::make_unique<RecordConnection>(std::move(client)) : nullptr;
  }
  ferry_status pollable(ferry_pollable& out) {
    out.handle = socket_.get();
    out.events = FERRY_POLL_IN;
    return FERRY_OK;
  }
  void interrupt() { interrupt_.raise(); }
  std::string local_address() { return name_.sun_path; }

 private:
  UniqueFd socket_;
  Interrupt interrupt_;
  sockaddr_un name_;
};

class RecordTransport : public Transport<RecordTransport> {
 public:
  RecordTransport(const ferry_host&, Options) {}
  static void check_address(std::string_view text) { parse(text); }

  // A Unix socket connects at once, or says EAGAIN while the listener's queue is full; nothing then tells when there
  // is room, so we look again every few milliseconds.
  std::unique_ptr<RecordConnection> connect(const char* address, Options, std::int64_t deadline,
                                            const ferry_cancel* cancel, ferry_status& why_not) {
    const sockaddr_un name = parse(address);
    UniqueFd fd = open_socket();
    while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
      if (errno != EAGAIN && errno != EINTR) throw os_failure(errno);
      if (deadline_passed(deadline)) return why_not = out_of_time(deadline), nullptr;
      pollfd cancelled{cancel_descriptor(cancel), POLLIN, 0};
      if (poll(&cancelled, 1, retry_ms) > 0) return why_not = FERRY_INTERRUPTED, nullptr;
    }
    return std::make_unique<RecordConnection>(std::move(fd));
  }
  std::unique_ptr<RecordListener> listen(const char* address, Options) {
    return std::make_unique<RecordListener>(parse(address));
  }
};

constexpr const char* schemes[] = {"records", nullptr};

}  // namespace

FERRY_PLUGIN(RecordTransport,
             {.name = "records",
              .version = "1.0.0",
              .description = "records over Unix sockets",
              .licence = "0BSD",
              .schemes = schemes,
              .capabilities = FERRY_CAP_RECORDS | FERRY_CAP_HALF_CLOSE | FERRY_CAP_LOCAL | FERRY_CAP_EPHEMERAL,
              .ephemeral_address = "{dir}/{name}"});

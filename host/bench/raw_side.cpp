// Raw baselines for `ferry bench --baseline`. Written the way a careful C programmer would write them: blocking
// sockets and FIFOs, TCP_NODELAY, the buffer sizes that Ferry's plugins ask for by default, no framing (sizes are
// agreed beforehand), one system call per message, or per 64 KiB where the measure coalesces. The receiver touches the
// first byte of every message, as any real receiver would.
#include "bench/raw_side.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "bench/bare_side.hpp"
#include "bench/ring_side.hpp"
#include "ferry/deadline.hpp"

namespace ferry::bench {
namespace {

constexpr int uds_buffer_bytes = 256 << 10;  // the uds plugin's default
constexpr int pipe_bytes = 1 << 20;          // the npipe plugin's default

[[noreturn]] void fail(const char* call) {
  throw std::system_error(errno, std::generic_category(), std::string("raw socket: ") + call);
}

void check(int result, const char* call) {
  if (result < 0) fail(call);
}

int make_socket(const std::string& scheme) {
  const int fd = ::socket(scheme == "tcp" ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  check(fd, "socket");
  return fd;
}

void tune(int fd, const std::string& scheme) {
  if (scheme == "tcp") {
    const int on = 1;
    check(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "setsockopt TCP_NODELAY");
  } else {
    check(::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &uds_buffer_bytes, sizeof(uds_buffer_bytes)), "setsockopt SO_SNDBUF");
    check(::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &uds_buffer_bytes, sizeof(uds_buffer_bytes)), "setsockopt SO_RCVBUF");
  }
}

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

Address make_address(const std::string& scheme, const std::string& text) {
  Address address;
  if (scheme == "tcp") {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in.sin_port = htons(static_cast<std::uint16_t>(std::stoul(text)));
    std::memcpy(&address.storage, &in, sizeof(in));
    address.size = sizeof(in);
  } else {
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    if (text.size() >= sizeof(un.sun_path)) {
      errno = ENAMETOOLONG;
      fail("path of the temporary directory");
    }
    std::memcpy(un.sun_path, text.c_str(), text.size() + 1);
    std::memcpy(&address.storage, &un, sizeof(un));
    address.size = sizeof(un);
  }
  return address;
}

/// Waits for the other side to open the FIFO.
int open_fifo(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  check(fd, "open a FIFO");
  check(::fcntl(fd, F_SETPIPE_SZ, pipe_bytes), "fcntl F_SETPIPE_SZ");
  return fd;
}

class RawSide final : public Side {
 public:
  /// A connected socket.
  RawSide(int fd, bool spinning) : in_(fd), out_(fd), is_socket_(true), spinning_(spinning) {}
  /// Two FIFOs, for one direction each.
  RawSide(int in, int out, bool spinning) : in_(in), out_(out), is_socket_(false), spinning_(spinning) {
    if (spinning) check(::fcntl(in, F_SETFL, O_NONBLOCK), "fcntl O_NONBLOCK");
  }
  RawSide(const RawSide&) = delete;
  RawSide& operator=(const RawSide&) = delete;
  ~RawSide() override {
    ::close(in_);
    if (!is_socket_) ::close(out_);
  }

  void lead(const Round& round, std::vector<std::int64_t>* latencies) override {
    buffer_.resize(std::max<std::size_t>(round.size, coalesce_bytes));
    switch (round.measure) {
      case Measure::ping_pong:
        return ping(round, latencies);
      case Measure::one_way_batched:
        send_coalesced(round);
        break;
      case Measure::one_way:
      case Measure::bulk:
        for (std::uint64_t i = 0; i < round.count; ++i) send_all(buffer_.data(), round.size);
        break;
    }
    receive_exactly(buffer_.data(), 1);
  }

  void follow(const Round& round) override {
    buffer_.resize(std::max<std::size_t>(round.size, coalesce_bytes));
    switch (round.measure) {
      case Measure::ping_pong:
        for (std::uint64_t i = 0; i < round.count; ++i) {
          receive_exactly(buffer_.data(), round.size);
          send_all(buffer_.data(), round.size);
        }
        return;
      case Measure::one_way:
      case Measure::one_way_batched:
        receive_small(round);
        break;
      case Measure::bulk:
        for (std::uint64_t i = 0; i < round.count; ++i) receive_exactly(buffer_.data(), round.size);
        break;
    }
    send_all(buffer_.data(), 1);
  }

 private:
  void ping(const Round& round, std::vector<std::int64_t>* latencies) {
    std::int64_t before = monotonic_now_ns();
    for (std::uint64_t i = 0; i < round.count; ++i) {
      send_all(buffer_.data(), round.size);
      receive_exactly(buffer_.data(), round.size);
      const std::int64_t after = monotonic_now_ns();
      if (latencies != nullptr) latencies->push_back(after - before);
      before = after;
    }
  }

  void send_coalesced(const Round& round) {
    message_.assign(round.size, 'm');
    std::size_t filled = 0;
    for (std::uint64_t i = 0; i < round.count; ++i) {
      if (filled + round.size > coalesce_bytes) {
        send_all(buffer_.data(), filled);
        filled = 0;
      }
      std::memcpy(buffer_.data() + filled, message_.data(), round.size);
      filled += round.size;
    }
    send_all(buffer_.data(), filled);
  }

  void receive_small(const Round& round) {
    std::uint64_t messages = 0;
    std::size_t held = 0;  // bytes of an incomplete message at the front of the buffer
    while (messages < round.count) {
      held += receive_some(buffer_.data() + held, buffer_.size() - held);
      std::size_t at = 0;
      for (; held - at >= round.size; at += round.size, ++messages) touched_ += static_cast<unsigned char>(buffer_[at]);
      std::memmove(buffer_.data(), buffer_.data() + at, held - at);
      held -= at;
    }
  }

  void send_all(const char* data, std::size_t size) {
    while (size > 0) {
      const ssize_t sent = is_socket_ ? ::send(out_, data, size, MSG_NOSIGNAL) : ::write(out_, data, size);
      if (sent < 0) fail(is_socket_ ? "send" : "write");
      data += sent;
      size -= static_cast<std::size_t>(sent);
    }
  }

  std::size_t receive_some(char* data, std::size_t size) {
    for (;;) {
      const ssize_t got = is_socket_ ? ::recv(in_, data, size, spinning_ ? MSG_DONTWAIT : 0) : ::read(in_, data, size);
      if (got > 0) return static_cast<std::size_t>(got);
      if (got == 0) {
        errno = ECONNRESET;
        fail("receive: the peer has gone");
      }
      if (!(spinning_ && errno == EAGAIN)) fail("receive");
    }
  }

  void receive_exactly(char* data, std::size_t size) {
    while (size > 0) {
      const std::size_t got = receive_some(data, size);
      data += got;
      size -= got;
    }
  }

  int in_;
  int out_;
  bool is_socket_;
  bool spinning_;
  std::vector<char> buffer_;
  std::vector<char> message_;
  std::uint64_t touched_ = 0;
};

}  // namespace

std::vector<std::string> raw_sides(const std::string& scheme, Measure measure, bool spinning) {
  if (scheme == "shm") return ring_sides(measure, spinning);
  if (scheme == "tcp" || scheme == "uds" || scheme == "npipe" || (scheme == "quic" && has_bare_side())) return {scheme};
  return {};
}

RawListener::RawListener(const std::string& scheme, const std::string& directory) : scheme_(scheme) {
  if (scheme_ == "npipe") {
    address_ = directory + "/raw";
    check(::mkfifo((address_ + ".up").c_str(), 0600), "mkfifo");
    check(::mkfifo((address_ + ".down").c_str(), 0600), "mkfifo");
    return;
  }
  fd_ = make_socket(scheme_);
  tune(fd_, scheme_);
  Address address = make_address(scheme_, scheme_ == "tcp" ? "0" : directory + "/raw.sock");
  check(::bind(fd_, address.get(), address.size), "bind");
  check(::listen(fd_, 1), "listen");
  if (scheme_ == "tcp") {
    sockaddr_in in{};
    socklen_t size = sizeof(in);
    check(::getsockname(fd_, reinterpret_cast<sockaddr*>(&in), &size), "getsockname");
    address_ = std::to_string(ntohs(in.sin_port));
  } else {
    address_ = directory + "/raw.sock";
  }
}

RawListener::~RawListener() {
  if (scheme_ == "npipe") {
    for (const char* end : {".up", ".down"}) ::unlink((address_ + end).c_str());
    return;
  }
  ::close(fd_);
  if (scheme_ == "uds") ::unlink(address_.c_str());
}

std::unique_ptr<Side> RawListener::accept(bool spinning) {
  if (scheme_ == "npipe") {
    const int in = open_fifo(address_ + ".up", O_RDONLY);
    return std::make_unique<RawSide>(in, open_fifo(address_ + ".down", O_WRONLY), spinning);
  }
  const int fd = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
  check(fd, "accept");
  tune(fd, scheme_);
  return std::make_unique<RawSide>(fd, spinning);
}

std::unique_ptr<Side> raw_connect(const std::string& scheme, const std::string& address, bool spinning) {
  if (scheme == "npipe") {
    const int out = open_fifo(address + ".up", O_WRONLY);
    return std::make_unique<RawSide>(open_fifo(address + ".down", O_RDONLY), out, spinning);
  }
  auto side = std::pair(make_socket(scheme), make_address(scheme, address));
  tune(side.first, scheme);
  check(::connect(side.first, side.second.get(), side.second.size), "connect");
  return std::make_unique<RawSide>(side.first, spinning);
}

}  // namespace ferry::bench

#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include <algorithm>
#include <cstddef>
#include <thread>
#include <utility>

#include "ferry/sdk/sigpipe.hpp"
#include "ferry/sdk/stream_socket.hpp"

namespace ferry::plugin {
namespace {

static_assert(sizeof(iovec) == sizeof(ferry_iovec) && offsetof(iovec, iov_base) == offsetof(ferry_iovec, data) &&
                  offsetof(iovec, iov_len) == offsetof(ferry_iovec, size),
              "gathered writes pass the caller's pieces to the kernel as they are");

constexpr std::int64_t first_look_ns = 100'000;    // finish asks the kernel for the send queue, first after this …
constexpr std::int64_t last_look_ns = 20'000'000;  // … and then ever less often, up to this
constexpr std::int64_t nap_ns = 50'000'000;        // what recv and send may sleep, where no interrupt reaches them
constexpr int nap_buffers = 4;                     // of one send, which may sleep anew for each of them
constexpr std::size_t nap_pieces = 16;
constexpr std::size_t discard_size = 16u << 10;
constexpr int discards_per_look = 64;  // so that a peer who never stops sending cannot outlast the deadline

/// The connection is gone, whatever cut it.
bool is_cut(int error) noexcept {
  switch (error) {
    case ECONNRESET:
    case ECONNABORTED:
    case ETIMEDOUT:  // keepalive or the user timeout gave up
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case ENETRESET:
    case ENOTCONN:
      return true;
    default:
      return false;
  }
}

bool set_nonblocking(int fd, bool on) noexcept {
  int value = on ? 1 : 0;
  return ::ioctl(fd, FIONBIO, &value) == 0;
}

/// What splice says of descriptors that it cannot join.
bool is_of_no_pipe(int error) noexcept { return error == EINVAL || error == EBADF || error == ESPIPE; }

ssize_t splice_without_signal(int from, int to, std::uint64_t size) noexcept {
  return without_sigpipe([&] { return ::splice(from, nullptr, to, nullptr, size, SPLICE_F_NONBLOCK); });
}

/// Never 0.
std::uint64_t send_buffer_bytes(int fd) noexcept {
  int bytes = 0;
  socklen_t size = sizeof(bytes);
  return ::getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &size) == 0 ? static_cast<std::uint64_t>(std::max(bytes, 1))
                                                                     : 1;
}

/// Puts the first `room` bytes into `first`; returns how many pieces that are.
std::size_t first_bytes(const ferry_iovec* pieces, std::uint32_t count, std::uint64_t room, iovec* first) noexcept {
  std::size_t kept = 0;
  for (; kept < count && room > 0; ++kept) {
    const std::uint64_t size = std::min(pieces[kept].size, room);
    first[kept] = {const_cast<void*>(pieces[kept].data), size};
    room -= size;
  }
  return kept;
}

}  // namespace

std::int64_t StreamSocket::read(void* data, std::uint64_t size, std::int64_t deadline_ns) noexcept {
  if (size == 0) return 0;
  int flags = may_nap(deadline_ns, nap_ns) ? 0 : MSG_DONTWAIT;
  return read_with(deadline_ns, [&] { return ::recv(fd(), data, size, std::exchange(flags, MSG_DONTWAIT)); });
}

std::int64_t StreamSocket::write(const ferry_iovec* pieces, std::uint32_t count, std::uint32_t flags,
                                 std::int64_t deadline_ns) noexcept {
  const int send_flags = MSG_NOSIGNAL | ((flags & FERRY_WRITE_MORE) != 0 ? MSG_MORE : 0);
  bool nap = count <= nap_pieces && may_nap(deadline_ns, nap_buffers * nap_ns);
  if (nap && nap_bytes_ == 0) nap_bytes_ = nap_buffers * send_buffer_bytes(fd());
  const auto how = [&] {
    if (!std::exchange(nap, false)) return send_flags | MSG_DONTWAIT;
    if (writer_.load(std::memory_order_relaxed) != Writer::reset) {
      writer_.store(Writer::napping, std::memory_order_relaxed);
    }
    return send_flags;
  };
  if (count == 1) {
    const std::uint64_t size = nap ? std::min(pieces->size, nap_bytes_) : pieces->size;
    return write_with(deadline_ns, [&] { return ::send(fd(), pieces->data, size, how()); });
  }
  iovec first[nap_pieces];
  msghdr message{};
  message.msg_iov = reinterpret_cast<iovec*>(const_cast<ferry_iovec*>(pieces));
  message.msg_iovlen = count;
  if (nap) {
    message.msg_iov = first;
    message.msg_iovlen = first_bytes(pieces, count, nap_bytes_, first);
  }
  return write_with(deadline_ns, [&] { return ::sendmsg(fd(), &message, how()); });
}

ferry_status StreamSocket::pollable(ferry_interest interest, ferry_pollable& out) const noexcept {
  out.handle = fd();
  out.events = interest == FERRY_READ ? FERRY_POLL_IN : FERRY_POLL_OUT;
  return FERRY_OK;
}

ferry_status StreamSocket::shutdown_write() noexcept {
  if (write_shut_) return FERRY_OK;
  if (::shutdown(fd(), SHUT_WR) != 0) return errno == ENOTCONN ? FERRY_RESET : FERRY_IO;
  write_shut_ = true;
  return FERRY_OK;
}

ferry_status StreamSocket::finish(std::int64_t deadline_ns) noexcept {
  // Closing with input unread would make the kernel send a reset, which destroys what the peer has not yet read.
  if (const ferry_status status = shutdown_write(); status != FERRY_OK) return status;
  // On a Unix socket the read side is shut as well: from then on nothing can enter our queue, and one pass empties it.
  if (kind_ == Kind::local && ::shutdown(fd(), SHUT_RD) != 0) return FERRY_IO;
  for (std::int64_t look_ns = first_look_ns;; look_ns = std::min(2 * look_ns, last_look_ns)) {
    bool ended = false;
    if (const ferry_status status = discard_input(ended); status != FERRY_OK) return status;
    if (ended) return FERRY_OK;
    int unacknowledged = 0;
    if (kind_ == Kind::network && ::ioctl(fd(), SIOCOUTQ, &unacknowledged) == 0 && unacknowledged == 0) return FERRY_OK;
    if (deadline_passed(deadline_ns)) return out_of_time(deadline_ns);
    const std::int64_t look_again_ns = std::min(deadline_ns, monotonic_ns() + look_ns);
    const ferry_status status = wait(POLLIN, look_again_ns);
    if (status != FERRY_OK && status != FERRY_TIMED_OUT) return status;
  }
}

void StreamSocket::reset_on_close() noexcept {
  if (kind_ != Kind::network) return;
  const linger at_once{1, 0};
  ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/// True when the coming call may sleep by itself, for longest_ns at most: the socket blocks (every other call says
/// MSG_DONTWAIT) and gives up after nap_ns, all well before the deadline.
bool StreamSocket::may_nap(std::int64_t deadline_ns, std::int64_t longest_ns) noexcept {
  if (deadline_ns == FERRY_NO_WAIT) return false;
  const Nap nap = nap_.load(std::memory_order_relaxed);
  if (nap == Nap::impossible || interrupted_.load(std::memory_order_relaxed)) return false;
  if (deadline_ns != FERRY_FOREVER && deadline_ns < monotonic_ns() + 2 * longest_ns) return false;
  return nap == Nap::possible || prepare_naps();
}

bool StreamSocket::prepare_naps() noexcept {
  const std::lock_guard lock(nap_change_);
  if (nap_.load(std::memory_order_relaxed) == Nap::unprepared) {
    // In this order: whatever sleeps because O_NONBLOCK is gone sleeps for nap_ns at most.
    const timeval limit{0, nap_ns / 1000};
    const bool ready = ::setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 &&
                       ::setsockopt(fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0 &&
                       set_nonblocking(fd(), false);
    nap_.store(ready ? Nap::possible : Nap::impossible, std::memory_order_release);  // pairs with the load in end_naps
  }
  return nap_.load(std::memory_order_relaxed) == Nap::possible;
}

void StreamSocket::end_naps() noexcept {
  // Pairs with the release stores: the socket has O_NONBLOCK by then.
  if (nap_.load(std::memory_order_acquire) == Nap::impossible) return;
  const std::lock_guard lock(nap_change_);
  if (nap_.load(std::memory_order_relaxed) == Nap::possible) (void)set_nonblocking(fd(), true);
  nap_.store(Nap::impossible, std::memory_order_release);  // pairs with the load above
}

/// Nothing can be written any more: a writer in its nap is being told so.
bool StreamSocket::peer_is_gone() const noexcept {
  pollfd entry{fd(), 0, 0};
  return ::poll(&entry, 1, 0) > 0 && (entry.revents & POLLHUP) != 0;
}

std::int64_t StreamSocket::receive_into(int pipe, std::uint64_t size) noexcept {
  end_naps();
  bool of_the_pipe = false;
  const std::int64_t received = read_with(FERRY_NO_WAIT, [&] {
    const ssize_t moved = splice_without_signal(fd(), pipe, size);
    of_the_pipe = moved < 0 && (errno == EPIPE || is_of_no_pipe(errno));
    return moved;
  });
  return of_the_pipe ? std::int64_t{FERRY_UNSUPPORTED} : received;
}

std::int64_t StreamSocket::send_from(int pipe, std::uint64_t size) noexcept {
  end_naps();
  bool of_the_pipe = false;
  const std::int64_t sent = write_with(FERRY_NO_WAIT, [&] {
    const ssize_t moved = splice_without_signal(pipe, fd(), size);
    of_the_pipe = moved < 0 && is_of_no_pipe(errno);
    return moved;
  });
  if (of_the_pipe) return FERRY_UNSUPPORTED;
  return sent == 0 ? std::int64_t{FERRY_END} : sent;
}

std::int64_t StreamSocket::end_or_reset() noexcept {
  if (reader_met_reset_) return FERRY_RESET;
  // A writer inside its system call may be the one whom the kernel told of the reset. It sleeps in there only while
  // there is a peer to wait for.
  // Pairs with the release store in write_failure.
  Writer writer = writer_.load(std::memory_order_acquire);
  while (writer == Writer::sending || (writer == Writer::napping && peer_is_gone())) {
    std::this_thread::yield();
    writer = writer_.load(std::memory_order_acquire);
  }
  return writer == Writer::reset ? FERRY_RESET : FERRY_END;
}

std::int64_t StreamSocket::read_failure(int error) noexcept {
  if (!is_cut(error)) return error == ENOMEM || error == ENOBUFS ? FERRY_NO_RESOURCES : FERRY_IO;
  reader_met_reset_ = true;
  return FERRY_RESET;
}

std::int64_t StreamSocket::write_failure(int error) noexcept {
  // EPIPE is no news for the reader: the peer ended in order before it cut us, or the reset is already known.
  const Writer now = is_cut(error) ? Writer::reset : Writer::idle;
  if (writer_.load(std::memory_order_relaxed) != Writer::reset) {
    writer_.store(now, std::memory_order_release);  // pairs with the loads in end_or_reset
  }
  if (error == EPIPE) return write_shut_ ? FERRY_CLOSED : FERRY_RESET;
  if (now == Writer::reset) return FERRY_RESET;
  return error == ENOMEM || error == ENOBUFS || error == ETOOMANYREFS ? FERRY_NO_RESOURCES : FERRY_IO;
}

ferry_status StreamSocket::discard_input(bool& ended) noexcept {
  char scratch[discard_size];
  for (int pass = 0; pass < discards_per_look || kind_ == Kind::local; ++pass) {
    const std::int64_t size = read(scratch, sizeof(scratch), FERRY_NO_WAIT);
    if (size > 0) continue;
    ended = size == FERRY_END;
    return ended || size == FERRY_WOULD_BLOCK ? FERRY_OK : static_cast<ferry_status>(size);
  }
  return FERRY_OK;
}

}  // namespace ferry::plugin

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "ferry/plugin.hpp"
#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/passed_fds.hpp"
#include "ferry/sdk/poll_wait.hpp"
#include "handshake.hpp"
#include "ring_machine.hpp"

namespace ferry::shm_spsc {
namespace {

using plugin::Failure;
using plugin::UniqueFd;

/// False: the client has gone. The socket is fresh, so its buffer has room and this never waits.
bool send_offer(int socket, const Offer& offer, plugin::FdsToSend passed) noexcept {
  std::array<std::byte, offer_bytes> bytes;
  write_offer(offer, bytes);
  iovec piece{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  passed.attach(message);
  return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(bytes.size());
}

/// The bytes of an offer are sent at once, and so they arrive: a shorter message is none.
std::size_t receive_offer(int socket, std::array<std::byte, offer_bytes>& bytes, plugin::ReceivedFds& passed) {
  iovec piece{bytes.data(), bytes.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  passed.make_room(message);
  ssize_t size = -1;
  do {
    size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (size < 0 && errno == EINTR);
  if (size < 0) throw plugin::os_failure(errno, "waiting to be accepted");
  passed.take_from(message);
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    throw Failure(FERRY_NO_RESOURCES, "the process is out of file descriptors; raise the limit (ulimit -n)");
  }
  return static_cast<std::size_t>(size);
}

void check_verdict(Verdict verdict) {
  if (verdict == Verdict::not_admitted) {
    throw Failure(FERRY_PERMISSION, "the listener's allow_uid and allow_gid do not admit this user");
  }
  if (verdict == Verdict::no_resources) {
    throw Failure(FERRY_NO_RESOURCES, "the listener is out of memory or file descriptors");
  }
}

bool is_stream_socket(int fd) noexcept {
  int domain = 0;
  int type = 0;
  socklen_t size = sizeof(int);
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
         ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

}  // namespace

std::optional<Link> offer_link(UniqueFd socket, std::uint64_t ring, const PageOptions& pages) try {
  Offer offer;
  UniqueFd memory;
  Segment segment = Segment::create(ring, pages, memory);
  offer.ring = ring;
  offer.segment = segment.size();
  offer.huge = segment.pages().pages == Pages::huge;
  offer.asymmetric = register_for_barriers();
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) throw plugin::os_failure(errno);
  UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  const std::int32_t passed[offer_descriptors] = {memory.get(), theirs.get()};
  if (!send_offer(socket.get(), offer, {passed, offer_descriptors})) return std::nullopt;
  return Link{std::move(segment), SignalSocket(std::move(ours)), SignalSocket(std::move(socket)), offer.asymmetric};
} catch (const Failure&) {
  turn_away(socket.get(), Verdict::no_resources);
  throw;
}

void turn_away(int socket, Verdict verdict) noexcept {
  Offer offer;
  offer.verdict = verdict;
  (void)send_offer(socket, offer, {nullptr, 0});
}

ferry_status await_link(UniqueFd socket, const PageOptions& pages, std::int64_t deadline_ns, const ferry_cancel* cancel,
                        std::optional<Link>& out) {
  pollfd entry{socket.get(), POLLIN, 0};
  if (deadline_ns == FERRY_NO_WAIT) {
    if (const int ready = plugin::poll_until(&entry, 1, FERRY_NO_WAIT); ready < 0) return ready;
  } else if (const ferry_status status = plugin::wait_ready(socket.get(), POLLIN, deadline_ns, cancel);
             status != FERRY_OK) {
    return status;
  }
  std::array<std::byte, offer_bytes> bytes;
  plugin::ReceivedFds passed;
  const std::size_t size = receive_offer(socket.get(), bytes, passed);
  if (size == 0) throw Failure(FERRY_RESET, "the listener closed before it accepted; is the service stopping?");
  const Offer offer = read_offer(std::span(bytes).first(size));
  check_verdict(offer.verdict);
  if (passed.count() != offer_descriptors) {
    throw Failure(FERRY_PROTOCOL, "the listener's offer came with " + std::to_string(passed.count()) +
                                      " descriptors instead of " + std::to_string(offer_descriptors));
  }
  if (offer.asymmetric && !register_for_barriers()) {
    throw Failure(FERRY_UNSUPPORTED,
                  "the listener relies on membarrier(2), which this process may not call; allow it "
                  "in the seccomp filter, or forbid it to both");
  }
  Segment segment = Segment::open(passed.take(0), offer, pages);
  UniqueFd data = passed.take(1);
  if (!is_stream_socket(data.get())) throw Failure(FERRY_PROTOCOL, "the listener handed over no socket to signal by");
  out.emplace(
      Link{std::move(segment), SignalSocket(std::move(data)), SignalSocket(std::move(socket)), offer.asymmetric});
  return FERRY_OK;
}

}  // namespace ferry::shm_spsc

#include "npipe_handshake_posix.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "ferry/plugin.hpp"
#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/poll_wait.hpp"
#include "ferry/sdk/private_directory.hpp"
#include "ferry/sdk/sigpipe.hpp"

namespace ferry::npipe {
namespace {

using plugin::Failure;
using plugin::UniqueFd;

static_assert(request_bytes <= _POSIX_PIPE_BUF, "requests of clients that come at once must not mix");

constexpr std::int64_t lock_look_ns = 1'000'000;  // between two tries at a lock that nobody holds for longer than that

Failure service_ended() { return Failure(FERRY_REFUSED, "the service that listened there has just ended", EPIPE); }

UniqueFd open_rendezvous(const Place& place) {
  const char* const name = place.name.c_str();
  UniqueFd fifo = open_fifo(place.directory.get(), name, O_WRONLY);
  if (fifo) return fifo;
  const int error = errno;
  if (const std::string wrong = what_is_wrong_with(place.directory.get(), name); !wrong.empty()) {
    throw Failure(FERRY_PERMISSION, wrong, error);
  }
  if (error == ENXIO) {
    throw Failure(FERRY_REFUSED, "the pipe is stale: the service that made it has ended; start it again", error);
  }
  if (error == ENOENT) throw Failure(FERRY_NOT_FOUND, "there is no such pipe; is the service running?", error);
  throw plugin::os_failure(error, "opening the pipe");
}

/// Sleeps until `fd` shows an event or an error, the deadline passes or `cancel` fires, as wait_ready; FERRY_OK also
/// when the listener has closed `rendezvous`.
ferry_status wait_beside(int fd, short events, int rendezvous, std::int64_t deadline_ns, const ferry_cancel* cancel) {
  if (deadline_ns == FERRY_NO_WAIT) return FERRY_WOULD_BLOCK;
  pollfd entries[3] = {{fd, events, 0}, {rendezvous, 0, 0}, {plugin::cancel_descriptor(cancel), POLLIN, 0}};
  const int ready = plugin::poll_until(entries, 3, deadline_ns);
  if (ready < 0) return ready;
  return entries[0].revents != 0 || entries[1].revents != 0 ? FERRY_OK : FERRY_INTERRUPTED;
}

/// The client's half of the handshake. Its FIFOs lose their names when it ends, however it ends.
class Client {
 public:
  Client(const Place& place, std::int64_t deadline_ns, const ferry_cancel* cancel)
      : deadline_ns_(deadline_ns), cancel_(cancel), rendezvous_(open_rendezvous(place)) {
    try {
      clients_ = plugin::open_private_directory(place.directory.get(), place.clients(), plugin::Absent::fail);
    } catch (const Failure& failure) {
      if (failure.status() == FERRY_NOT_FOUND) throw service_ended();
      throw;
    }
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() {
    if (down_name_.empty()) return;
    ::unlinkat(clients_.get(), down_name_.c_str(), 0);
    ::unlinkat(clients_.get(), up_name_.c_str(), 0);
  }

  /// Tells the listener by its lock that names in the directory are in use.
  ferry_status lock() {
    while (::flock(clients_.get(), LOCK_SH | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) throw plugin::os_failure(errno, "locking the directory of clients");
      if (plugin::deadline_passed(deadline_ns_)) return plugin::out_of_time(deadline_ns_);
      const std::int64_t look_again_ns = std::min(deadline_ns_, plugin::monotonic_ns() + lock_look_ns);
      const ferry_status status = wait_beside(-1, 0, -1, look_again_ns, cancel_);
      if (status != FERRY_TIMED_OUT) return status;
    }
    return FERRY_OK;
  }

  void make_fifos(std::int64_t pipe_bytes) {
    if (::getrandom(id_.data(), id_.size(), 0) != static_cast<ssize_t>(id_.size())) {
      throw plugin::os_failure(errno, "reading random bytes");
    }
    down_name_ = to_text(id_) + ".down";
    up_name_ = to_text(id_) + ".up";
    pair_.in = make(down_name_, O_RDONLY);
    pair_.own_reader = make(up_name_, O_RDONLY);  // without it the FIFO could not be opened for writing
    pair_.out = open(up_name_, O_WRONLY);
    pair_.out_bytes = resize_fifo(pair_.out.get(), pipe_bytes);
  }

  ferry_status send_request() {
    const Request request = make_request(id_);
    const ferry_iovec piece{request.data(), request.size()};
    for (;;) {
      if (plugin::write_pipe(rendezvous_.get(), &piece, 1) > 0) return FERRY_OK;
      if (errno == EPIPE) throw service_ended();
      if (errno != EAGAIN && errno != EINTR) throw plugin::os_failure(errno, "writing the request");
      const ferry_status status = plugin::wait_ready(rendezvous_.get(), POLLOUT, deadline_ns_, cancel_);
      if (status != FERRY_OK) return status;
    }
  }

  ferry_status await_answer() {
    for (bool listening = true;;) {
      std::array<std::uint8_t, accepted_answer.size()> answer{};
      const ssize_t size = ::read(pair_.in.get(), answer.data(), answer.size());
      if (size == static_cast<ssize_t>(answer.size()) && answer == accepted_answer) return FERRY_OK;
      if (size > 0) throw Failure(FERRY_PROTOCOL, "the service gave an answer that this version does not know");
      if (size < 0 && errno != EAGAIN && errno != EINTR) throw plugin::os_failure(errno, "reading the answer");
      // Until the listener opens `down` there is no writer, and a read says what it says at an end.
      if (!listening) throw service_ended();
      const ferry_status status = wait_beside(pair_.in.get(), POLLIN, rendezvous_.get(), deadline_ns_, cancel_);
      if (status != FERRY_OK) return status;
      // Answers come before the listener goes: what is not there when it has gone will not come.
      pollfd gone[2] = {{rendezvous_.get(), 0, 0}, {pair_.in.get(), 0, 0}};
      listening = plugin::poll_until(gone, 2, FERRY_NO_WAIT) <= 0;
    }
  }

  /// The listener has removed the names before it answered.
  FifoPair take() noexcept {
    down_name_.clear();
    return std::move(pair_);
  }

 private:
  UniqueFd make(const std::string& name, int flags) {
    if (::mkfifoat(clients_.get(), name.c_str(), 0600) != 0) {
      if (errno == ENOENT) throw service_ended();  // it has removed the directory
      throw plugin::os_failure(errno, "making a FIFO");
    }
    return open(name, flags);
  }
  UniqueFd open(const std::string& name, int flags) {
    UniqueFd fifo = open_fifo(clients_.get(), name.c_str(), flags);
    if (fifo) return fifo;
    if (errno == ENOENT) throw service_ended();
    throw plugin::os_failure(errno, "opening a FIFO just made");
  }

  const std::int64_t deadline_ns_;
  const ferry_cancel* const cancel_;
  UniqueFd rendezvous_;
  UniqueFd clients_;
  PairId id_{};
  std::string down_name_;
  std::string up_name_;
  FifoPair pair_;
};

Taken why_not_open(int error) noexcept {
  switch (error) {
    case ENOENT:
    case ENXIO:  // nobody reads it any more
      return Taken::client_gone;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Taken::no_resources;
    default:
      return Taken::not_ours;
  }
}

/// The client writes nothing before it is answered, so a byte is as wrong as an end is final.
Taken look_at_writer(int fifo) noexcept {
  char byte = 0;
  const ssize_t size = ::read(fifo, &byte, 1);
  if (size < 0 && errno == EAGAIN) return Taken::yes;
  return size == 0 ? Taken::client_gone : Taken::not_ours;
}

/// `up` first: opened and closed again it leaves the client as it was, while `down` would show it an end.
Taken open_pair(int clients, const std::string& up, const std::string& down, FifoPair& out) noexcept {
  out.in = open_fifo(clients, up.c_str(), O_RDONLY);
  if (!out.in) return why_not_open(errno);
  out.out = open_fifo(clients, down.c_str(), O_WRONLY);
  if (!out.out) return why_not_open(errno);
  out.own_reader = open_fifo(clients, down.c_str(), O_RDONLY);  // one can do without
  return look_at_writer(out.in.get());
}

Taken answer(int fifo) noexcept {
  const ferry_iovec piece{accepted_answer.data(), accepted_answer.size()};
  return plugin::write_pipe(fifo, &piece, 1) == std::ssize(accepted_answer) ? Taken::yes : Taken::client_gone;
}

}  // namespace

ferry_status connect_pair(const Place& place, std::int64_t pipe_bytes, std::int64_t deadline_ns,
                          const ferry_cancel* cancel, FifoPair& out) {
  Client client(place, deadline_ns, cancel);
  // The listener's host has to call accept: that is waiting, however short.
  if (deadline_ns == FERRY_NO_WAIT) return FERRY_WOULD_BLOCK;
  if (const ferry_status status = client.lock(); status != FERRY_OK) return status;
  client.make_fifos(pipe_bytes);
  if (const ferry_status status = client.send_request(); status != FERRY_OK) return status;
  if (const ferry_status status = client.await_answer(); status != FERRY_OK) return status;
  out = client.take();
  return FERRY_OK;
}

Taken take_pair(int clients, const PairId& id, std::int64_t pipe_bytes, FifoPair& out) {
  const std::string up = to_text(id) + ".up";
  const std::string down = to_text(id) + ".down";
  FifoPair pair;
  Taken taken = open_pair(clients, up, down, pair);
  if (taken == Taken::no_resources) return taken;
  ::unlinkat(clients, up.c_str(), 0);
  ::unlinkat(clients, down.c_str(), 0);
  if (taken != Taken::yes) return taken;
  pair.out_bytes = resize_fifo(pair.out.get(), pipe_bytes);
  taken = answer(pair.out.get());
  if (taken == Taken::yes) out = std::move(pair);
  return taken;
}

}  // namespace ferry::npipe

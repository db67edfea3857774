#include "npipe_listener_posix.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "ferry/sdk/os_error.hpp"
#include "ferry/sdk/poll_wait.hpp"
#include "npipe_description.hpp"

namespace ferry::npipe {
namespace {

// A call of accept ends after so many requests that came to nothing, however fast more come.
constexpr int most_misses_per_call = 64;

/// What a FIFO gets that asks for `wanted`; -1 when there is none to try it on.
std::int64_t granted_pipe_bytes(std::int64_t wanted) noexcept {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return -1;
  const plugin::UniqueFd in(ends[0]);
  const plugin::UniqueFd out(ends[1]);
  return resize_fifo(out.get(), wanted);
}

}  // namespace

void fill_effective(std::int64_t pipe_bytes, std::int64_t backlog, ferry_value* values, std::uint32_t count) noexcept {
  std::fill_n(values, count, ferry_value{});
  const std::int64_t granted = count > option_pipe_size ? granted_pipe_bytes(pipe_bytes) : -1;
  if (granted > 0) values[option_pipe_size] = {granted, nullptr, 1, 0};
  if (count > option_backlog) values[option_backlog] = {backlog, nullptr, 1, 0};
}

std::int64_t resize_backlog(int fifo, std::int64_t backlog) noexcept {
  constexpr auto size = static_cast<std::int64_t>(request_bytes);
  return resize_fifo(fifo, std::max<std::int64_t>(backlog * size, PIPE_BUF)) / size;
}

PipeListener::PipeListener(const ferry_host& host, const Address& address, plugin::Options values)
    : host_(host),
      address_(to_text(address)),
      rendezvous_(find_place(address, MakeDirectory::yes), values.flag(option_takeover)),
      backlog_(resize_backlog(rendezvous_.fifo(), values.integer(option_backlog))),
      pipe_bytes_(values.integer(option_pipe_size)) {}

std::unique_ptr<PipeConnection> PipeListener::accept(std::int64_t deadline_ns, ferry_status& why_not) {
  for (int misses = 0; misses < most_misses_per_call; ++misses) {
    why_not = next_request(deadline_ns);
    if (why_not == FERRY_PROTOCOL) {
      complain("bytes that are no request");
    } else if (why_not != FERRY_OK) {
      return nullptr;
    } else if (auto connection = take()) {
      return connection;
    }
  }
  throw plugin::Failure(FERRY_PROTOCOL, "none of the last " + std::to_string(most_misses_per_call) +
                                            " requests was one of a client that still waits");
}

/// Leaves the name of the next client's FIFOs in id_. FERRY_PROTOCOL: there was something else.
ferry_status PipeListener::next_request(std::int64_t deadline_ns) {
  while (!waiting_) {
    const std::span<std::uint8_t> room = reader_.room();
    const ssize_t size = ::read(rendezvous_.fifo(), room.data(), room.size());
    if (size > 0) {
      const auto found = reader_.added(static_cast<std::size_t>(size), id_);
      if (found == RequestReader::Found::junk) return FERRY_PROTOCOL;
      waiting_ = found == RequestReader::Found::request;
    } else if (size < 0 && errno == EAGAIN) {
      if (std::exchange(untidy_, false)) rendezvous_.tidy();
      const ferry_status status = plugin::wait_ready(rendezvous_.fifo(), POLLIN, deadline_ns, interrupt_);
      if (status != FERRY_OK) return status;
    } else if (size < 0 && errno != EINTR) {
      throw plugin::os_failure(errno, "reading requests");
    }
  }
  return FERRY_OK;
}

/// Takes the client in id_; null when it has gone, or was none.
std::unique_ptr<PipeConnection> PipeListener::take() {
  FifoPair fifos;
  const Taken taken = take_pair(rendezvous_.clients(), id_, pipe_bytes_.load(std::memory_order_relaxed), fifos);
  if (taken == Taken::no_resources) {
    throw plugin::Failure(FERRY_NO_RESOURCES, "out of file descriptors or memory; the client goes on waiting");
  }
  waiting_ = false;
  untidy_ = true;
  reader_.taken();
  if (taken == Taken::not_ours) complain("a request whose FIFOs no client of ours has made");
  if (taken != Taken::yes) return nullptr;
  return std::make_unique<PipeConnection>(std::move(fifos), address_, std::string());
}

void PipeListener::complain(const std::string& what) const {
  host_.log(&host_, FERRY_LOG_PEER_MISBEHAVING, (address_ + ": ignored " + what).c_str());
}

ferry_status PipeListener::pollable(ferry_pollable& out) const noexcept {
  out.handle = rendezvous_.fifo();
  out.events = FERRY_POLL_IN;
  return FERRY_OK;
}

void PipeListener::effective(ferry_value* values, std::uint32_t count) const noexcept {
  fill_effective(pipe_bytes_.load(std::memory_order_relaxed), backlog_, values, count);
}

void PipeListener::reconfigure(plugin::Options values) noexcept {
  pipe_bytes_.store(values.integer(option_pipe_size), std::memory_order_relaxed);
}

}  // namespace ferry::npipe

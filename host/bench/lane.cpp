#include "bench/lane.hpp"

#include <sched.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>

#include "bench/channel_side.hpp"
#include "bench/raw_side.hpp"
#include "bench/reactor_side.hpp"
#include "ferry/deadline.hpp"

extern char** environ;

namespace ferry::bench {
namespace {

constexpr int peer_control_fd = 3;
constexpr auto start_deadline = std::chrono::seconds(20);

[[noreturn]] void fail(const char* call) {
  throw std::system_error(errno, std::generic_category(), std::string("bench peer: ") + call);
}

/// Reads all `size` bytes; false when the other process has gone.
bool read_all(int fd, void* data, std::size_t size) {
  auto* at = static_cast<char*>(data);
  while (size > 0) {
    const ssize_t got = ::read(fd, at, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

void send_control(int fd, const void* data, std::size_t size) {
  if (::send(fd, data, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size)) fail("control socket");
}

std::string receive_address(int control) {
  std::uint32_t size = 0;
  std::string address;
  if (read_all(control, &size, sizeof(size))) {
    address.resize(size);
    if (read_all(control, address.data(), size)) return address;
  }
  throw Error(Status::reset, "start", "bench peer", "it ended before it listened; its message is above");
}

void send_address(int control, const std::string& address) {
  const auto size = static_cast<std::uint32_t>(address.size());
  send_control(control, &size, sizeof(size));
  send_control(control, address.data(), address.size());
}

std::unique_ptr<Side> make_side(Mover mover, Connection connection) {
  return mover == Mover::reactor ? make_reactor_side(std::move(connection)) : make_channel_side(std::move(connection));
}

}  // namespace

Lane::Lane(const LaneSpec& spec, Runtime& runtime, const std::vector<std::filesystem::path>& plugin_dirs) {
  start_peer(spec, plugin_dirs);
  try {
    const std::string address = receive_address(control_);
    if (spec.mover == Mover::raw) {
      side_ = raw_connect(spec.descriptor, address, spec.spinning);
    } else {
      Endpoint dial = parse_endpoint(address);
      dial.options = parse_endpoint(spec.descriptor).options;
      side_ = make_side(spec.mover, runtime.connect_stream(dial.to_string(), start_deadline));
    }
  } catch (...) {
    ::kill(peer_, SIGKILL);
    ::waitpid(peer_, nullptr, 0);
    ::close(control_);
    throw;
  }
}

Lane::~Lane() {
  if (broken_) ::kill(peer_, SIGKILL);
  ::close(control_);  // the peer reads the end and exits
  ::waitpid(peer_, nullptr, 0);
}

void Lane::start_peer(const LaneSpec& spec, const std::vector<std::filesystem::path>& plugin_dirs) {
  std::array<int, 2> pair{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) fail("socketpair");
  std::vector<std::string> words = {"ferry",
                                    "bench-peer",
                                    spec.descriptor,
                                    "--mover",
                                    std::to_string(static_cast<unsigned>(spec.mover)),
                                    "--directory",
                                    spec.directory,
                                    "--cpu",
                                    std::to_string(spec.peer_cpu)};
  if (spec.spinning) words.emplace_back("--spinning");
  for (const auto& dir : plugin_dirs) words.insert(words.begin() + 1, {"--plugin-dir", dir.string()});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pair[1], peer_control_fd);
  const int problem = ::posix_spawn(&peer_, "/proc/self/exe", &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(pair[1]);
  control_ = pair[0];
  if (problem != 0) {
    ::close(control_);
    errno = problem;
    fail("posix_spawn");
  }
}

std::int64_t Lane::run(const Round& round, std::vector<std::int64_t>* latencies) {
  send_control(control_, &round, sizeof(round));
  broken_ = true;
  const std::int64_t start = monotonic_now_ns();
  side_->lead(round, latencies);
  const std::int64_t elapsed = monotonic_now_ns() - start;
  // Both sides have left the round before the next begins: a reactor would else count its first messages to this one.
  char left = 0;
  if (!read_all(control_, &left, sizeof(left)))
    throw Error(Status::reset, "run", "bench peer", "it ended inside a round");
  broken_ = false;
  return elapsed;
}

void serve_lane(const LaneSpec& spec, Runtime& runtime, int control) {
  pin_to(spec.peer_cpu);
  std::unique_ptr<Side> side;
  if (spec.mover == Mover::raw) {
    RawListener listener(spec.descriptor, spec.directory);
    send_address(control, listener.address());
    side = listener.accept(spec.spinning);
  } else {
    Listener listener = runtime.listen(spec.descriptor);
    send_address(control, listener.descriptor());
    side = make_side(spec.mover, listener.accept(start_deadline));
  }
  Round round;
  while (read_all(control, &round, sizeof(round))) {
    side->follow(round);
    const char left = 1;
    send_control(control, &left, sizeof(left));
  }
}

std::vector<int> two_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> found;
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return found;
  for (int cpu = 0; cpu < CPU_SETSIZE && found.size() < 2; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) found.push_back(cpu);
  }
  return found.size() == 2 ? found : std::vector<int>();
}

void pin_to(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  if (::sched_setaffinity(0, sizeof(set), &set) != 0) {
    throw std::system_error(errno, std::generic_category(), "pin to processor " + std::to_string(cpu));
  }
}

}  // namespace ferry::bench

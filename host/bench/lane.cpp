#include "bench/lane.hpp"

#include <sched.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <system_error>

#include "bench/bare_control.hpp"
#include "bench/bare_side.hpp"
#include "bench/channel_side.hpp"
#include "bench/raw_side.hpp"
#include "bench/reactor_side.hpp"
#include "bench/ring_side.hpp"
#include "ferry/deadline.hpp"

extern char** environ;

namespace ferry::bench {
namespace {

constexpr int peer_control_fd = 3;
constexpr auto start_deadline = std::chrono::seconds(20);

[[noreturn]] void fail(const char* call) {
  throw std::system_error(errno, std::generic_category(), std::string("bench peer: ") + call);
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
  write_all(control, &size, sizeof(size));
  write_all(control, address.data(), address.size());
}

std::unique_ptr<Side> connect_raw(const LaneSpec& spec, const std::string& address) {
  if (spec.descriptor == "quic") return bare_connect(address, spec.spinning);
  if (is_ring_side(spec.descriptor)) return ring_connect(spec.descriptor, address, spec.spinning);
  return raw_connect(spec.descriptor, address, spec.spinning);
}

std::unique_ptr<Side> make_side(Mover mover, Connection connection) {
  return mover == Mover::reactor ? make_reactor_side(std::move(connection)) : make_channel_side(std::move(connection));
}

}  // namespace

std::int64_t Side::cpu_ns() const {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<std::int64_t>(used.tv_sec) * 1'000'000'000 + used.tv_nsec;
}

Lane::Lane(const LaneSpec& spec, Runtime& runtime, const std::vector<std::filesystem::path>& plugin_dirs) {
  start_peer(spec, plugin_dirs);
  try {
    const std::string address = receive_address(control_);
    if (spec.mover == Mover::raw) {
      side_ = connect_raw(spec, address);
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
  arguments.reserve(words.size() + 1);
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

RoundCost Lane::run(const Round& round, std::vector<std::int64_t>* latencies) {
  write_all(control_, &round, sizeof(round));
  broken_ = true;
  const std::int64_t cpu_before = side_->cpu_ns();
  const std::int64_t start = monotonic_now_ns();
  side_->lead(round, latencies);
  RoundCost cost{monotonic_now_ns() - start, side_->cpu_ns() - cpu_before};
  // Both sides have left the round before the next begins: a reactor would else count its first messages to this one.
  std::int64_t peer_cpu_ns = 0;
  if (!read_all(control_, &peer_cpu_ns, sizeof(peer_cpu_ns)))
    throw Error(Status::reset, "run", "bench peer", "it ended inside a round");
  broken_ = false;
  cost.cpu_ns += peer_cpu_ns;
  return cost;
}

void serve_lane(const LaneSpec& spec, Runtime& runtime, int control) {
  pin_to(spec.peer_cpu);
  std::unique_ptr<Side> side;
  const auto accept_from = [&](auto&& listener) {
    send_address(control, listener.address());
    return listener.accept(spec.spinning);
  };
  if (spec.mover == Mover::raw && spec.descriptor == "quic") {
    side = accept_from(BareListener());
  } else if (spec.mover == Mover::raw && is_ring_side(spec.descriptor)) {
    side = accept_from(RingListener(spec.descriptor));
  } else if (spec.mover == Mover::raw) {
    side = accept_from(RawListener(spec.descriptor, spec.directory));
  } else {
    Listener listener = runtime.listen(spec.descriptor);
    send_address(control, listener.descriptor());
    side = make_side(spec.mover, listener.accept(start_deadline));
  }
  Round round;
  while (read_all(control, &round, sizeof(round))) {
    const std::int64_t before = side->cpu_ns();
    side->follow(round);
    const std::int64_t used = side->cpu_ns() - before;
    write_all(control, &used, sizeof(used));
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

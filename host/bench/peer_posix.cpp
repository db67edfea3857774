#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <system_error>

#include "bench/bare_control.hpp"
#include "bench/bare_side.hpp"
#include "bench/peer.hpp"
#include "bench/raw_side.hpp"
#include "bench/ring_side.hpp"
#include "ferry/sdk/unique_fd.hpp"

extern char** environ;

namespace ferry::bench {
namespace {

constexpr int control_fd = 3;

[[noreturn]] void fail(int problem, const char* call) {
  throw std::system_error(problem, std::generic_category(), std::string("bench peer: ") + call);
}

class DriverControl final : public Control {
 public:
  bool read_all(void* data, std::size_t size) override { return bench::read_all(control_fd, data, size); }
  void write_all(const void* data, std::size_t size) override { bench::write_all(control_fd, data, size); }
};

class Process final : public PeerProcess {
 public:
  explicit Process(const std::vector<std::string>& arguments) {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) fail(errno, "socketpair");
    control_.reset(pair[0]);
    const plugin::UniqueFd theirs(pair[1]);
    std::vector<char*> words{const_cast<char*>("ferry")};
    for (const std::string& argument : arguments) words.push_back(const_cast<char*>(argument.c_str()));
    words.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), control_fd);
    const int problem = ::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, words.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (problem != 0) fail(problem, "posix_spawn");
  }
  ~Process() override {
    control_.reset();
    ::waitpid(pid_, nullptr, 0);
  }
  bool read_all(void* data, std::size_t size) override { return bench::read_all(control_.get(), data, size); }
  void write_all(const void* data, std::size_t size) override { bench::write_all(control_.get(), data, size); }
  void kill() noexcept override { ::kill(pid_, SIGKILL); }

 private:
  plugin::UniqueFd control_;
  pid_t pid_ = -1;
};

template <class Made>
class Listening final : public BaselineListener {
 public:
  template <class... Arguments>
  explicit Listening(const Arguments&... arguments) : made_(arguments...) {}
  std::string address() const override { return made_.address(); }
  std::unique_ptr<Side> accept(bool spinning) override { return made_.accept(spinning); }

 private:
  Made made_;
};

}  // namespace

std::unique_ptr<Control> control_of_driver() { return std::make_unique<DriverControl>(); }

std::unique_ptr<PeerProcess> start_peer(const std::vector<std::string>& arguments) {
  return std::make_unique<Process>(arguments);
}

std::int64_t Side::cpu_ns() const {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<std::int64_t>(used.tv_sec) * 1'000'000'000 + used.tv_nsec;
}

std::vector<int> usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> found;
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return found;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) found.push_back(cpu);
  }
  return found;
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

std::unique_ptr<BaselineListener> baseline_listen(const std::string& name, const std::string& directory) {
  if (name == "quic") return std::make_unique<Listening<BareListener>>();
  if (is_ring_side(name)) return std::make_unique<Listening<RingListener>>(name);
  return std::make_unique<Listening<RawListener>>(name, directory);
}

std::unique_ptr<Side> baseline_connect(const std::string& name, const std::string& address, bool spinning) {
  if (name == "quic") return bare_connect(address, spinning);
  return is_ring_side(name) ? ring_connect(name, address, spinning) : raw_connect(name, address, spinning);
}

}  // namespace ferry::bench

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "ferry/error.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "probe_child.hpp"
#include "probe_report.hpp"

namespace ferry {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& file, const std::string& detail, int os_error) {
  throw Error(Status::no_resources, "probe plugin", file.string(), detail, os_error);
}

std::string describe_end(int status) {
  if (WIFSIGNALED(status)) {
    const char* const name = ::sigabbrev_np(WTERMSIG(status));
    return name != nullptr ? std::string("killed by SIG") + name
                           : "killed by signal " + std::to_string(WTERMSIG(status));
  }
  return "ended the process with status " + std::to_string(WEXITSTATUS(status));
}

// In a process group of its own so that what it started goes with it.
class Child final : public ProbeChild {
 public:
  Child(const fs::path& program, const fs::path& file, Deadline deadline) : deadline_(deadline) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail(file, "cannot make a pipe", errno);
    report_.reset(ends[0]);
    const plugin::UniqueFd write_end(ends[1]);  // not kept, or the report would never end
    if (const int failure = spawn(program, file, write_end.get()); failure != 0) {
      fail(file, "cannot start " + program.string(), failure);
    }
  }
  ~Child() override { kill_and_reap(); }

  News read(std::string& text) override {
    for (;;) {
      pollfd event{report_.get(), POLLIN, 0};
      const int ready = deadline_.passed() ? 0 : ::poll(&event, 1, deadline_.timeout_ms());
      if (ready == 0 && deadline_.passed()) return News::timed_out;
      if (ready < 0 && errno != EINTR) return News::end;
      if (ready <= 0) continue;
      std::array<char, 4096> block;
      const ssize_t count = ::read(report_.get(), block.data(), block.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return News::end;
      text.append(block.data(), static_cast<std::size_t>(count));
      return News::some;
    }
  }

  std::string end() override {
    kill_and_reap();
    return describe_end(status_);
  }

 private:
  int spawn(const fs::path& program, const fs::path& file, int report) {
    std::string argument = fs::absolute(file).string();
    std::string name = "ferry-probe";
    std::array<char*, 3> arguments{name.data(), argument.data(), nullptr};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, report, probe_report_fd);
    ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    const int failure = ::posix_spawn(&pid_, program.c_str(), &actions, &attributes, arguments.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    return failure;
  }

  void kill_and_reap() noexcept {
    if (pid_ < 0) return;
    ::kill(-pid_, SIGKILL);
    while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
  }

  Deadline deadline_;
  plugin::UniqueFd report_;
  pid_t pid_ = -1;
  int status_ = 0;
};

}  // namespace

std::unique_ptr<ProbeChild> ProbeChild::start(const fs::path& program, const fs::path& file, Deadline deadline) {
  return std::make_unique<Child>(program, file, deadline);
}

}  // namespace ferry

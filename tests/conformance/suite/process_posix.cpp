#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "ferry/deadline.hpp"
#include "process.hpp"

namespace ferry::conformance {
namespace {

class FileActions {
 public:
  FileActions() { ::posix_spawn_file_actions_init(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  void redirect(int from, int to) {
    if (from >= 0) ::posix_spawn_file_actions_adddup2(&actions_, from, to);
  }
  void open_null(int to) { ::posix_spawn_file_actions_addopen(&actions_, to, "/dev/null", O_RDONLY, 0); }
  const posix_spawn_file_actions_t* get() const noexcept { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

}  // namespace

void be_a_test_process() noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::signal(SIGPIPE, SIG_DFL);  // an inherited "ignore" would hide a plugin that raises it
}

std::string own_program() { return "/proc/self/exe"; }

int start_process(const Spawn& spawn) {
  FileActions actions;
  if (spawn.standard_input < 0) actions.open_null(STDIN_FILENO);
  actions.redirect(spawn.standard_input, STDIN_FILENO);
  actions.redirect(spawn.standard_output, STDOUT_FILENO);
  actions.redirect(spawn.standard_error, STDERR_FILENO);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, static_cast<short>(spawn.own_group ? POSIX_SPAWN_SETPGROUP : 0));
  std::vector<char*> arguments;
  for (const std::string& argument : spawn.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, arguments[0], actions.get(), &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) throw std::system_error(error, std::generic_category(), "start " + spawn.arguments[0]);
  return pid;
}

int open_output(const std::filesystem::path& file) {
  return ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

void close_output(int descriptor) noexcept { ::close(descriptor); }

Ending await_group(int pid, std::int64_t deadline_ns) {
  Ending ending;
  const int handle = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));  // glibc 2.36 declares it, older ones do not
  pollfd ended{handle, POLLIN, 0};
  while (true) {
    const std::int64_t left_ns = deadline_ns - monotonic_now_ns();
    if (left_ns <= 0) {
      ending.timed_out = true;
      break;
    }
    if (::poll(&ended, 1, static_cast<int>(left_ns / 1'000'000 + 1)) > 0) break;
  }
  if (handle >= 0) ::close(handle);
  ::kill(-pid, SIGKILL);  // the leader is not yet reaped, so the group's id cannot be anybody else's
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) ending.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) ending.signal = WTERMSIG(status);
  return ending;
}

std::string signal_name(int number) {
  const char* const name = ::sigabbrev_np(number);
  return name == nullptr ? "signal " + std::to_string(number) : std::string("SIG") + name;
}

}  // namespace ferry::conformance

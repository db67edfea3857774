#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

#include "ferry/deadline.hpp"
#include "ferry/probe.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "probe_report.hpp"

namespace ferry {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& file, const std::string& detail, int os_error) {
  throw Error(Status::no_resources, "probe plugin", file.string(), detail, os_error);
}

fs::path probe_program() {
  std::error_code failure;
  const fs::path program = fs::read_symlink("/proc/self/exe", failure);
  const fs::path installed = program.parent_path() / FERRY_PROBE_FROM_BIN;
  if (fs::exists(installed, failure)) return installed;
  const fs::path built = program.parent_path().parent_path() / "libexec" / "ferry" / "ferry-probe";
  return fs::exists(built, failure) ? built : fs::path(FERRY_INSTALL_PROBE);
}

// The child, in a process group of its own so that what it started goes with it. Killed and reaped on destruction.
class Child {
 public:
  Child(const fs::path& file, int report) {
    const std::string program = probe_program().string();
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
    if (failure != 0) fail(file, "cannot start " + program, failure);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { static_cast<void>(end()); }

  // Kills what is left of the group and returns the child's wait status. A child that had already begun to end, which
  // is what closed its report, keeps the status it ended with.
  int end() noexcept {
    if (pid_ < 0) return status_;
    ::kill(-pid_, SIGKILL);
    while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status_;
  }

 private:
  pid_t pid_ = -1;
  int status_ = 0;
};

// Reads whole lines until the deadline.
class Report {
 public:
  Report(int fd, Deadline deadline) : fd_(fd), deadline_(deadline) {}

  bool timed_out() const noexcept { return timed_out_; }
  // False at the end of the report, or when time is up.
  bool next(std::string& line) {
    for (;;) {
      if (const std::size_t end = text_.find('\n'); end != std::string::npos) {
        line = text_.substr(0, end);
        text_.erase(0, end + 1);
        return true;
      }
      if (text_.size() > max_report_bytes || !fill()) return false;
    }
  }

 private:
  static constexpr std::size_t max_report_bytes = 4u << 20;  // 256 options with their texts are well below

  bool fill() {
    pollfd event{fd_, POLLIN, 0};
    const int ready = deadline_.passed() ? 0 : ::poll(&event, 1, deadline_.timeout_ms());
    if (ready < 0) return errno == EINTR;
    if (ready == 0) {
      timed_out_ = deadline_.passed();
      return !timed_out_;
    }
    std::array<char, 4096> block;
    const ssize_t count = ::read(fd_, block.data(), block.size());
    if (count > 0) text_.append(block.data(), static_cast<std::size_t>(count));
    return count > 0 || (count < 0 && errno == EINTR);
  }

  int fd_;
  Deadline deadline_;
  std::string text_;
  bool timed_out_ = false;
};

std::string describe_end(int status) {
  if (WIFSIGNALED(status)) {
    const char* const name = ::sigabbrev_np(WTERMSIG(status));
    return name != nullptr ? std::string("killed by SIG") + name
                           : "killed by signal " + std::to_string(WTERMSIG(status));
  }
  return "ended the process with status " + std::to_string(WEXITSTATUS(status));
}

std::string seconds(std::chrono::milliseconds time) {
  return time.count() % 1000 == 0 ? std::to_string(time.count() / 1000) + " s" : std::to_string(time.count()) + " ms";
}

}  // namespace

ProbeResult probe_plugin(const fs::path& file, std::chrono::milliseconds timeout) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail(file, "cannot make a pipe", errno);
  const plugin::UniqueFd read_end(ends[0]);
  plugin::UniqueFd write_end(ends[1]);
  Child child(file, write_end.get());
  write_end.reset();  // or the report would never end

  Report report(read_end.get(), Deadline(timeout));
  std::string step = "its start";
  for (std::string line; report.next(line);) {
    const nlohmann::ordered_json entry = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!entry.is_object()) continue;  // the plugin itself wrote to the descriptor
    if (entry.contains("plugin")) return {true, entry["plugin"].dump(), {}};
    if (entry.contains("refused")) return {false, {}, entry.value("refused", "")};
    step = entry.value("step", step);
  }
  const std::string what = report.timed_out() ? "hung for " + seconds(timeout) : describe_end(child.end());
  return {false, {}, what + " in " + step};
}

}  // namespace ferry

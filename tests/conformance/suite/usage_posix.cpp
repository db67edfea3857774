#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "usage.hpp"

namespace ferry::conformance {

CountAllocations count_allocations = nullptr;

std::set<int> open_descriptors() {
  std::set<int> listed;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    listed.insert(std::stoi(entry.path().filename().string()));
  std::set<int> open;
  for (const int fd : listed) {
    if (::fcntl(fd, F_GETFD) >= 0) open.insert(fd);  // the iterator's own is closed by now
  }
  return open;
}

std::string describe_descriptor(int fd) {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), ignored).string();
}

bool is_close_on_exec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }

int thread_count() {
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) ++count;
  return count;
}

std::uint64_t resident_bytes() {
  std::ifstream status("/proc/self/statm");
  std::uint64_t pages = 0;
  status >> pages >> pages;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::string signal_handling() {
  std::string text;
  for (int number = 1; number < 32; ++number) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler == SIG_DFL) continue;
    text += std::to_string(number) + (action.sa_handler == SIG_IGN ? " ignored; " : " handled; ");
  }
  return text;
}

DescriptorLimit::DescriptorLimit(std::uint64_t limit) {
  rlimit current{};
  ::getrlimit(RLIMIT_NOFILE, &current);
  before_ = current.rlim_cur;
  current.rlim_cur = limit;
  ::setrlimit(RLIMIT_NOFILE, &current);
}

DescriptorLimit::~DescriptorLimit() {
  rlimit current{};
  ::getrlimit(RLIMIT_NOFILE, &current);
  current.rlim_cur = before_;
  ::setrlimit(RLIMIT_NOFILE, &current);
}

}  // namespace ferry::conformance

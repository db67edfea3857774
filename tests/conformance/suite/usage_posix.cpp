#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "check.hpp"
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

int taken_by_system_libraries() noexcept { return 0; }

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

bool NoDescriptors::is_possible() noexcept { return true; }

NoDescriptors::NoDescriptors() {
  rlimit current{};
  ::getrlimit(RLIMIT_NOFILE, &current);
  limit_before_ = current.rlim_cur;
  current.rlim_cur = static_cast<rlim_t>(*open_descriptors().rbegin()) + 1;
  taken_.reserve(current.rlim_cur);
  ::setrlimit(RLIMIT_NOFILE, &current);
  for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) taken_.push_back(fd);  // the holes below
}

NoDescriptors::~NoDescriptors() {
  for (const int fd : taken_) ::close(fd);
  rlimit current{};
  ::getrlimit(RLIMIT_NOFILE, &current);
  current.rlim_cur = limit_before_;
  ::setrlimit(RLIMIT_NOFILE, &current);
}

OpenFile::OpenFile(const std::filesystem::path& path)
    : handle_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {
  require(handle_ >= 0, "open: ", std::strerror(errno));
}

OpenFile::~OpenFile() { ::close(static_cast<int>(handle_)); }

std::int64_t OpenFile::position() const { return ::lseek(static_cast<int>(handle_), 0, SEEK_CUR); }

bool is_wine() noexcept { return false; }

void close_descriptor(int fd) { ::close(fd); }

ferry_credentials own_credentials() { return {sizeof(ferry_credentials), 0, ::geteuid(), ::getegid(), ::getpid()}; }

}  // namespace ferry::conformance

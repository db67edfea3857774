#include "bench/bare_side.hpp"

#include <spawn.h>
#include <sys/wait.h>

#include <array>
#include <filesystem>
#include <system_error>
#include <utility>

#include "bench/bare_control.hpp"
#include "ferry/error.hpp"
#include "ferry/sdk/unique_fd.hpp"

extern char** environ;

namespace ferry::bench {

namespace {

constexpr int control_fd = 3;

std::filesystem::path helper() {
  std::error_code failure;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", failure);
  return program.parent_path().parent_path() / "libexec" / "ferry" / "ferry-bare-quic";
}

}  // namespace

/// One helper; it ends when its control socket does.
class BareProcess {
 public:
  explicit BareProcess(std::vector<std::string> words) {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0)
      throw std::system_error(errno, std::generic_category(), "socketpair");
    control_.reset(pair[0]);
    const plugin::UniqueFd theirs(pair[1]);
    words.insert(words.begin(), helper().string());
    words.insert(words.begin() + 2, std::to_string(control_fd));
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), control_fd);
    const int problem = ::posix_spawn(&pid_, words.front().c_str(), &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (problem != 0) throw std::system_error(problem, std::generic_category(), words.front());
  }
  BareProcess(const BareProcess&) = delete;
  BareProcess& operator=(const BareProcess&) = delete;
  ~BareProcess() {
    control_.reset();
    ::waitpid(pid_, nullptr, 0);
  }

  void write(const BareCommand& command) { write_all(control_.get(), &command, sizeof(command)); }
  template <class T>
  void read(T* values, std::size_t count) {
    if (!read_all(control_.get(), values, count * sizeof(T)))
      throw Error(Status::reset, "run", helper().string(), "it ended; its message is above");
  }

 private:
  plugin::UniqueFd control_;
  pid_t pid_ = -1;
};

namespace {

class BareSide final : public Side {
 public:
  BareSide(std::unique_ptr<BareProcess> process, bool spinning) : process_(std::move(process)), spinning_(spinning) {}

  void lead(const Round& round, std::vector<std::int64_t>* latencies) override {
    std::vector<std::int64_t> taken = run(round);
    if (latencies != nullptr) latencies->insert(latencies->end(), taken.begin(), taken.end());
  }
  void follow(const Round& round) override { run(round); }
  std::int64_t cpu_ns() const override { return cpu_ns_; }

 private:
  std::vector<std::int64_t> run(const Round& round) {
    process_->write({round, spinning_ ? 1u : 0u});
    BareReport report;
    process_->read(&report, 1);
    cpu_ns_ += report.cpu_ns;
    std::vector<std::int64_t> latencies(report.latencies);
    process_->read(latencies.data(), latencies.size());
    return latencies;
  }

  std::unique_ptr<BareProcess> process_;
  bool spinning_;
  std::int64_t cpu_ns_ = 0;
};

}  // namespace

bool has_bare_side() {
  std::error_code failure;
  return std::filesystem::exists(helper(), failure);
}

BareListener::BareListener() : process_(new BareProcess({"listen"})) {
  std::uint16_t port = 0;
  process_->read(&port, 1);
  address_ = std::to_string(port);
}

BareListener::~BareListener() = default;

std::unique_ptr<Side> BareListener::accept(bool spinning) {
  return std::make_unique<BareSide>(std::move(process_), spinning);
}

std::unique_ptr<Side> bare_connect(const std::string& address, bool spinning) {
  auto process = std::make_unique<BareProcess>(std::vector<std::string>{"connect", address});
  char ready = 0;
  process->read(&ready, 1);
  return std::make_unique<BareSide>(std::move(process), spinning);
}

}  // namespace ferry::bench

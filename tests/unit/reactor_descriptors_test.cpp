// Accepting without a free descriptor: the kernel calls the listener readable for ever, and the loop must not turn with
// it. In a child process, because the limit of open files is the whole process's.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "ferry/reactor.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "support/temporary_directory.hpp"

using namespace ferry;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t starved_ns = 500'000'000;
constexpr std::int64_t most_cpu_ns = starved_ns / 10;

std::int64_t cpu_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// Takes every descriptor that is left under a limit just above those in use.
std::vector<plugin::UniqueFd> take_all_descriptors() {
  plugin::UniqueFd lowest(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const rlimit limit{static_cast<rlim_t>(lowest.get()) + 8, static_cast<rlim_t>(lowest.get()) + 8};
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  std::vector<plugin::UniqueFd> taken;
  for (; lowest; lowest.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC))) taken.push_back(std::move(lowest));
  return taken;
}

/// What the child found, as its exit code; each but `recovered` fails the test.
enum Verdict { recovered = 0, spins = 10, never_starved, accepted_too_soon, wrong_status, threw };

Verdict starve_and_recover(const std::string& address) {
  Runtime runtime;
  Listener listener = runtime.listen(address);
  const std::string descriptor = listener.descriptor();
  std::vector<Connection> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(runtime.connect_stream(descriptor));  // they wait in the backlog
  Reactor reactor;
  std::vector<plugin::UniqueFd> taken = take_all_descriptors();
  Verdict verdict = recovered;
  int accepted = 0;
  int failures = 0;
  const std::int64_t cpu_before = cpu_ns();
  const auto listening = reactor.listen(
      std::move(listener),
      [&](Connection) {
        if (!taken.empty()) verdict = accepted_too_soon;
        if (++accepted == 3) reactor.stop();
      },
      [&](const ferry_error& error) {
        ++failures;
        if (error.status != FERRY_NO_RESOURCES) verdict = wrong_status;
      });
  const auto later = reactor.call_at(std::chrono::nanoseconds(starved_ns), [&] {
    if (failures == 0) verdict = never_starved;
    if (cpu_ns() - cpu_before > most_cpu_ns) verdict = spins;
    taken.clear();
  });
  reactor.run();
  return verdict;
}

}  // namespace

TEST_CASE("without descriptors accepting pauses instead of spinning, and goes on once there are some") {
  const test::TemporaryDirectory directory;
  std::string address;
  SUBCASE("tcp") { address = "tcp://127.0.0.1:0"; }
  SUBCASE("uds") { address = "uds://" + directory / "socket"; }
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::alarm(20);
    Verdict verdict = threw;
    try {
      verdict = starve_and_recover(address);
    } catch (...) {
      verdict = threw;
    }
    ::_exit(verdict);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == recovered);
}

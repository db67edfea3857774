// Limits on POSIX systems. Kernel settings are read from /proc/sys (proc(5)); where that is absent they are skipped.
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <cstdint>
#include <fstream>

#include "doctor_checks.hpp"

namespace ferry::host {
namespace {

constexpr std::uint64_t wanted_open_files = 20'480;  // 10,000 relayed connections and some; the hard limit counts
constexpr std::int64_t wanted_backlog = 1024;
constexpr std::int64_t wanted_buffer_bytes = 256 << 10;  // the buffer size that uds asks for
constexpr std::uint64_t wanted_shared_memory_bytes = 64u << 20;

Finding open_files() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  const auto text = [](rlim_t value) { return value == RLIM_INFINITY ? "unlimited" : std::to_string(value); };
  Finding finding{"open files (RLIMIT_NOFILE)", text(limit.rlim_cur) + ", hard limit " + text(limit.rlim_max), ""};
  if (limit.rlim_max < wanted_open_files) {
    finding.advice =
        "many connections will be refused: raise the hard limit (LimitNOFILE= in the systemd unit, or "
        "/etc/security/limits.conf)";
  } else if (limit.rlim_cur < wanted_open_files) {
    finding.advice = "run 'ulimit -n " + text(limit.rlim_max) + "' before ferry to serve many connections";
  }
  return finding;
}

void kernel_setting(std::vector<Finding>& findings, const std::string& name, std::int64_t wanted,
                    const std::string& why) {
  std::string path = "/proc/sys/" + name;
  for (char& c : path)
    if (c == '.') c = '/';
  std::int64_t value = 0;
  if (!(std::ifstream(path) >> value)) return;
  Finding finding{name, std::to_string(value), ""};
  if (value < wanted) finding.advice = why + ": sysctl -w " + name + "=" + std::to_string(wanted);
  findings.push_back(std::move(finding));
}

void shared_memory(std::vector<Finding>& findings) {
  struct statvfs space {};
  if (statvfs("/dev/shm", &space) != 0) {
    findings.push_back({"/dev/shm", "not there", "mount a tmpfs at /dev/shm for the shared-memory transport"});
    return;
  }
  const std::uint64_t bytes = std::uint64_t{space.f_bavail} * space.f_frsize;
  Finding finding{"/dev/shm", std::to_string(bytes >> 20) + " MiB free", ""};
  if (bytes < wanted_shared_memory_bytes) finding.advice = "free some or mount it larger (docker: --shm-size=256m)";
  findings.push_back(std::move(finding));
}

}  // namespace

std::vector<Finding> examine_system() {
  std::vector<Finding> findings{open_files()};
  kernel_setting(findings, "net.core.somaxconn", wanted_backlog, "bursts of clients are refused above it");
  kernel_setting(findings, "net.core.rmem_max", wanted_buffer_bytes, "larger receive buffers are clamped to it");
  kernel_setting(findings, "net.core.wmem_max", wanted_buffer_bytes, "larger send buffers are clamped to it");
  shared_memory(findings);
  return findings;
}

}  // namespace ferry::host

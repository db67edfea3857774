#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

#include "probe_process.hpp"
#include "probe_report.hpp"

namespace ferry {

bool prepare_probe_process() noexcept {
  if (::fcntl(probe_report_fd, F_GETFD) < 0) return false;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a parent that dies takes a hung plugin along
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  return true;
}

bool write_probe_report(std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t count = ::write(probe_report_fd, text.data(), text.size());
    if (count <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace ferry

// What tells a daemon to end, and what to read its config again.
#pragma once

#include <vector>

namespace ferry::host {

struct DaemonSignals {
  std::vector<int> end;
  int reload;
};

DaemonSignals daemon_signals();

}  // namespace ferry::host

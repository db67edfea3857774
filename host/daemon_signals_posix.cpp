#include <csignal>

#include "daemon_signals.hpp"

namespace ferry::host {

DaemonSignals daemon_signals() { return {{SIGTERM, SIGINT}, SIGHUP}; }

}  // namespace ferry::host

#include <uv.h>

#include <csignal>

#include "daemon_signals.hpp"

namespace ferry::host {

// libuv makes SIGHUP of the console's window being closed, after which Windows ends the process within seconds, and
// SIGBREAK of Ctrl+Break, which a program can send to another (GenerateConsoleCtrlEvent). Nothing is SIGTERM there.
DaemonSignals daemon_signals() { return {{SIGINT, SIGHUP}, SIGBREAK}; }

}  // namespace ferry::host

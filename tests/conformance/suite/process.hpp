// Starting programs, for tests in processes of their own and for the second process that some tests need.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ferry::conformance {

struct Spawn {
  std::vector<std::string> arguments;  ///< the program's path first
  int standard_input = -1;             ///< -1: /dev/null
  int standard_output = -1;            ///< -1: this process's
  int standard_error = -1;
  bool own_group = false;  ///< leads a process group of its own, so that it and its children can be ended together
};

/// Returns the process id. Throws std::system_error.
int start_process(const Spawn& spawn);

/// How a process ended: its exit code, or the signal that killed it, or that it had to be killed at the deadline.
struct Ending {
  int exit_code = 0;
  int signal = 0;
  bool timed_out = false;
};

/// Waits until the deadline, then kills; in any case ends the whole group that the process led.
Ending await_group(int pid, std::int64_t deadline_ns);

/// "SIGSEGV".
std::string signal_name(int number);

}  // namespace ferry::conformance

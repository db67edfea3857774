// Starting programs, for tests in processes of their own and for the second process that some tests need.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace ferry::conformance {

/// The program that runs here, as start_process takes it.
std::string own_program();

struct Spawn {
  std::vector<std::string> arguments;  ///< the program's path first
  int standard_input = -1;             ///< -1: /dev/null
  int standard_output = -1;            ///< -1: this process's
  int standard_error = -1;
  bool own_group = false;  ///< leads a process group of its own, so that it and its children can be ended together
};

/// Returns the process id, on Windows the process's handle. Throws std::system_error.
int start_process(const Spawn& spawn);

/// A file to be a process's output, as a descriptor (of the C run-time library on Windows); and its end.
int open_output(const std::filesystem::path& file);
void close_output(int descriptor) noexcept;

/// Makes this process, which the runner started, end with the runner, and takes back what it inherited and what would
/// hide a plugin's fault.
void be_a_test_process() noexcept;

/// How a process ended: its exit code, or the signal (on Windows the exception) that killed it, or that it had to be
/// killed at the deadline.
struct Ending {
  int exit_code = 0;
  int signal = 0;
  bool timed_out = false;
};

/// Waits until the deadline, then kills; in any case ends the whole group that the process led.
Ending await_group(int pid, std::int64_t deadline_ns);

/// "SIGSEGV", "exception 0xC0000005".
std::string signal_name(int number);

}  // namespace ferry::conformance

#include <windows.h>
// after windows.h
#include <fcntl.h>
#include <io.h>
#include <winternl.h>

#include <cstdint>

#include "peer.hpp"
#include "process.hpp"

extern "C" {
// Of ntdll since Windows XP, in its import library and in no header: every thread of a process at once.
NTSTATUS NTAPI NtSuspendProcess(HANDLE process);
NTSTATUS NTAPI NtResumeProcess(HANDLE process);
}

namespace ferry::conformance {
namespace {

struct Pipe {
  int ends[2] = {-1, -1};  // read, write; inherited only where start_process hands one over
  Pipe() { require(::_pipe(ends, 1u << 16, _O_BINARY | _O_NOINHERIT) == 0, "cannot make a pipe"); }
};

HANDLE handle_of(int process) noexcept { return reinterpret_cast<HANDLE>(static_cast<std::intptr_t>(process)); }

}  // namespace

Peer::Peer(Context& context) {
  const Pipe commands;
  const Pipe answers;
  Spawn spawn;
  spawn.arguments = context.self();
  spawn.arguments.emplace_back("--as-peer");
  spawn.standard_input = commands.ends[0];
  spawn.standard_output = answers.ends[1];
  process_ = start_process(spawn);
  ::_close(commands.ends[0]);
  ::_close(answers.ends[1]);
  commands_ = commands.ends[1];
  answers_ = answers.ends[0];
  require(answer() == "ready", "the second process did not start");
}

Peer::~Peer() {
  ::_close(commands_);
  ::_close(answers_);
  kill();
}

void Peer::send(const std::string& command) {
  const std::string line = command + "\n";
  require(::_write(commands_, line.data(), static_cast<unsigned>(line.size())) == static_cast<int>(line.size()),
          "the second process takes no commands");
}

std::string Peer::answer() {
  std::string line;
  char byte = 0;
  while (::_read(answers_, &byte, 1) == 1) {
    if (byte == '\n') return line;
    if (byte != '\r') line += byte;
  }
  fail_because_it_ended();
}

/// The second process died: its own reason, if it gave one, stands in the report already and stays.
void Peer::fail_because_it_ended() {
  const Ending ending = await_group(process_, FERRY_FOREVER);
  const std::string calls = outcome_report().calls_under_way(Side::peer);
  require(ending.signal == 0, "the second process was killed by ", signal_name(ending.signal),
          calls.empty() ? "" : " in ", calls);
  fail("the second process ended in the middle of a command");
}

void Peer::kill() {
  if (process_ < 0) return;
  ::TerminateProcess(handle_of(process_), 1);
  ::WaitForSingleObject(handle_of(process_), INFINITE);
  ::CloseHandle(handle_of(process_));
  process_ = -1;
}

void Peer::stop() { require(NtSuspendProcess(handle_of(process_)) >= 0, "the second process did not stop"); }

void Peer::go_on() { require(NtResumeProcess(handle_of(process_)) >= 0, "the second process does not go on"); }

}  // namespace ferry::conformance

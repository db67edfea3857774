#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "peer.hpp"
#include "process.hpp"

namespace ferry::conformance {
namespace {

struct Pipe {
  int read_end = -1;
  int write_end = -1;
  Pipe() {
    int ends[2];
    require(::pipe2(ends, O_CLOEXEC) == 0, "pipe: ", std::strerror(errno));
    read_end = ends[0];
    write_end = ends[1];
  }
};

}  // namespace

Peer::Peer(Context& context) {
  const Pipe commands;
  const Pipe answers;
  std::vector<std::string> arguments = context.self();
  arguments.emplace_back("--as-peer");
  Spawn spawn;
  spawn.arguments = arguments;
  spawn.standard_input = commands.read_end;
  spawn.standard_output = answers.write_end;
  process_ = start_process(spawn);
  ::close(commands.read_end);
  ::close(answers.write_end);
  commands_ = commands.write_end;
  answers_ = answers.read_end;
  require(answer() == "ready", "the second process did not start");
}

Peer::~Peer() {
  ::close(commands_);
  ::close(answers_);
  kill();
}

void Peer::send(const std::string& command) {
  const std::string line = command + "\n";
  require(::write(commands_, line.data(), line.size()) == static_cast<ssize_t>(line.size()),
          "the second process takes no commands: ", std::strerror(errno));
}

std::string Peer::answer() {
  std::string line;
  char byte = 0;
  while (true) {
    const ssize_t got = ::read(answers_, &byte, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got != 1) fail_because_it_ended();
    if (byte == '\n') break;
    line += byte;
  }
  return line;
}

/// The second process died: its own reason, if it gave one, stands in the report already and stays.
void Peer::fail_because_it_ended() {
  int status = 0;
  require(::waitpid(process_, &status, 0) == process_, "waitpid: ", std::strerror(errno));
  const std::string calls = outcome_report().calls_under_way(Side::peer);
  require(!WIFSIGNALED(status), "the second process was killed by ", signal_name(WTERMSIG(status)),
          calls.empty() ? "" : " in ", calls);
  fail("the second process ended in the middle of a command");
}

void Peer::kill() {
  if (process_ < 0) return;
  ::kill(process_, SIGKILL);
  int status = 0;
  while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
  process_ = -1;
}

void Peer::stop() {
  int status = 0;
  require(::kill(process_, SIGSTOP) == 0, "kill: ", std::strerror(errno));
  require(::waitpid(process_, &status, WUNTRACED) == process_ && WIFSTOPPED(status), "the second process did not stop");
}

void Peer::go_on() { require(::kill(process_, SIGCONT) == 0, "kill: ", std::strerror(errno)); }

}  // namespace ferry::conformance

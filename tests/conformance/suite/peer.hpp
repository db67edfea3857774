// A second real process that uses the same plugin and does what the test tells it, a line at a time.
//
// One small command language serves all tests, so that a test reads in one place. Commands and their answers:
//   connect ADDRESS   → "ok"              listen → the address, and accept → "ok"
//   echo              → "done" when the connection ended; every byte was written back
//   write N           → "ok": N bytes of the flow 0 were written
//   trickle N         → "ok": N bytes, each in its own write, with uneven short pauses between them
//   read N            → "ok": N bytes of the flow 0 arrived
//   finish, close, abort → "ok"
//   dial ADDRESS      → "ok", then connects and closes in a loop until it is killed
#pragma once

#include <string>

#include "context.hpp"

namespace ferry::conformance {

class Peer {
 public:
  /// Starts the process. To be called before the test starts threads; it dies with this process.
  explicit Peer(Context& context);
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer();  ///< kills it if it still runs

  void send(const std::string& command);
  std::string answer();  ///< waits for one line; fails when the process died
  std::string ask(const std::string& command) {
    send(command);
    return answer();
  }
  /// Kills it, so that it can do nothing more, and waits until it is gone.
  void kill();
  /// Returns once no thread of it runs.
  void stop();
  void go_on();

 private:
  [[noreturn]] void fail_because_it_ended();

  int process_ = -1;
  int commands_ = -1;
  int answers_ = -1;
};

/// The peer's side: serves commands from standard input until its end.
int serve_commands(Context& context);

}  // namespace ferry::conformance

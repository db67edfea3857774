// The second process: reads commands, obeys, answers.
#include <chrono>
#include <iostream>
#include <sstream>
#include <thread>

#include "flow.hpp"
#include "peer.hpp"

namespace ferry::conformance {
namespace {

class Obedient {
 public:
  explicit Obedient(Context& context) : context_(context) {}

  std::string obey(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    std::string argument;
    words >> verb >> argument;
    if (verb == "connect") return connection_ = context_.connect(argument), "ok";
    if (verb == "listen") return listener_ = context_.listen(), listener_.local_address();
    if (verb == "accept") return connection_ = context_.accept(listener_), "ok";
    if (verb == "echo") return echo();
    if (verb == "write") return send_flow(connection_, std::stoull(argument)), "ok";
    if (verb == "read") return expect_flow(connection_, std::stoull(argument)), "ok";
    if (verb == "trickle") return trickle(std::stoull(argument));
    if (verb == "finish") return expect(connection_.finish(soon()), {FERRY_OK}, "finish"), "ok";
    if (verb == "close") return connection_.close(), "ok";
    if (verb == "abort") return connection_.abort(), "ok";
    if (verb == "dial") return dial(argument);
    fail("no such command: " + line);
  }

 private:
  std::string echo() {
    std::vector<std::uint8_t> bytes(connection_.chunk());
    while (true) {
      const std::int64_t got = connection_.read(bytes.data(), bytes.size(), FERRY_FOREVER);
      if (got < 0) return "done";
      write_all(connection_, std::span(bytes).first(static_cast<std::size_t>(got)));
    }
  }

  std::string trickle(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      // Pauses from nothing to a few microseconds, so that writes fall before, between and after the reader's steps.
      const std::int64_t until = in(pattern(i, 7) * 16);
      while (now_ns() < until) {
      }
      if (pattern(i, 8) < 4) std::this_thread::yield();
      const std::uint8_t byte = pattern(i);
      write_all(connection_, {&byte, 1});
    }
    return "ok";
  }

  [[noreturn]] std::string dial(const std::string& address) {
    std::cout << "ok" << std::endl;
    while (true) {
      Connection connection;
      static_cast<void>(context_.transport().connect(address, in(second), connection));
    }
  }

  Context& context_;
  Listener listener_;
  Connection connection_;
};

}  // namespace

int serve_commands(Context& context) {
  Obedient obedient(context);
  std::cout << "ready" << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) std::cout << obedient.obey(line) << std::endl;
  return 0;
}

}  // namespace ferry::conformance

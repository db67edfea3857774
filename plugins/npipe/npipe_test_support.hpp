// What the tests of npipe begin with.
#pragma once

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <future>
#include <set>
#include <string>

#include "support/raw_transport.hpp"

extern "C" const ferry_plugin ferry_plugin_v1;

namespace ferry::test {

/// Both ends of one more connection: connect returns when accept is called, so they run side by side.
inline RawPair join(const RawTransport& transport, const RawListener& listener, RawTransport::Settings settings = {}) {
  RawPair pair;
  Said said;
  auto connecting = std::async(
      std::launch::async, [&, address = listener.address()] { return transport.connect(address, settings, &said); });
  pair.server = listener.accept();
  pair.client = connecting.get();
  REQUIRE_MESSAGE(said.status == FERRY_OK, said.message);
  return pair;
}

struct Pipes {
  TemporaryDirectory directory;
  RawTransport transport{ferry_plugin_v1};
  RawListener listener = transport.listen(directory / "p");
  RawPair pair(RawTransport::Settings settings = {}) const { return join(transport, listener, settings); }
};

/// Names of everything below `directory`.
inline std::set<std::string> files_in(const std::string& directory) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    names.insert(entry.path().lexically_relative(directory));
  }
  return names;
}

/// Runs `body` in a child process, which ends with its result, and returns the child.
template <class Body>
pid_t in_child(Body&& body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(body());
  return child;
}

inline int wait_for(pid_t child) {
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace ferry::test

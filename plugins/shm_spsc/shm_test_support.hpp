// What the tests of the shm transport share.
#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <utility>

#include "ferry/sdk/unix_socket.hpp"
#include "handshake.hpp"
#include "support/raw_transport.hpp"

extern "C" const ferry_plugin ferry_plugin_v1;

namespace ferry::shm_spsc {

/// Two ends of one process. A connect completes when it is accepted, so the one waits for the other in a thread.
inline test::RawPair shm_pair(const test::RawTransport& transport, const test::RawListener& listener,
                              test::RawTransport::Settings client_settings = {}) {
  test::RawPair pair;
  auto accepting = std::async(std::launch::async, [&] { return listener.accept(); });
  pair.client = transport.connect(listener.address(), client_settings);
  pair.server = accepting.get();
  REQUIRE(pair.server);
  return pair;
}

/// Descriptors in use, now that `listener` has slept once: it keeps one for being interrupted.
inline int fds_after_sleep(const test::RawListener& listener) {
  test::Said said;
  CHECK_FALSE(listener.accept(test::in_ms(1), &said));
  return test::count_fds();
}

/// The client's end at `path` without a connection around it, for peers that keep no rules.
inline Link dial_link(const std::string& path) {
  plugin::UniqueFd socket;
  REQUIRE(plugin::connect_unix(plugin::path_socket_address(path), path, test::soon(), nullptr, socket) == FERRY_OK);
  std::optional<Link> link;
  REQUIRE(await_link(std::move(socket), {}, test::soon(), nullptr, link) == FERRY_OK);
  return std::move(*link);
}

/// A child process; killed and waited for at the latest when this ends. `body` must not return to the tests.
class Child {
 public:
  explicit Child(const std::function<void()>& body) : pid_(::fork()) {
    REQUIRE(pid_ >= 0);
    if (pid_ > 0) return;
    body();
    ::_exit(0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { kill(); }
  void kill() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    join();
  }
  void signal(int number) const { REQUIRE(::kill(pid_, number) == 0); }
  /// Waits for its end, and says what that was (waitpid's status).
  int join() {
    int status = 0;
    if (pid_ > 0) ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }
  void until_stopped() const {
    int status = 0;
    REQUIRE(::waitpid(pid_, &status, WUNTRACED) == pid_);
    REQUIRE(WIFSTOPPED(status));
  }

 private:
  pid_t pid_;
};

inline std::int64_t figure(const test::RawConnection& connection, std::string_view name) {
  ferry_statistic figures[16];
  const auto* table = connection.extension<ferry_statistics>(FERRY_EXT_STATISTICS);
  const std::int32_t count = table->read(connection.get(), figures, 16);
  for (std::int32_t i = 0; i < count; ++i) {
    if (figures[i].name == name) return figures[i].value;
  }
  FAIL("no figure " << name);
  return -1;
}

}  // namespace ferry::shm_spsc

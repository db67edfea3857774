// What would take the process along is met in a child and reported.
#include "ferry/probe.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "plugin_folder.hpp"

using namespace std::chrono_literals;
using ferry::test::PluginFolder;

namespace {

std::string reason_of(const std::string& fixture, std::chrono::milliseconds timeout = ferry::probe_timeout) {
  const PluginFolder folder;
  const ferry::ProbeResult result = ferry::probe_plugin(folder.add(fixture), timeout);
  CHECK_FALSE(result.loaded);
  CHECK(result.description.empty());
  return result.reason;
}

}  // namespace

TEST_CASE("a good plugin is described") {
  const PluginFolder folder;
  const ferry::ProbeResult result = ferry::probe_plugin(folder.add("good"));
  INFO(result.reason);
  REQUIRE(result.loaded);
  CHECK(result.description.find(R"("name":"good")") != std::string::npos);
  CHECK(result.description.find(R"("schemes":["good"])") != std::string::npos);
  CHECK(result.description.find(R"("name":"depth","type":"integer","default":"4","minimum":"1","maximum":"64")") !=
        std::string::npos);
}

TEST_CASE("what the registry refuses keeps its reason") {
  CHECK(reason_of("wrong_major").find("ABI major version 2") != std::string::npos);
  CHECK(reason_of("undefined_symbol").find("a_function_that_nobody_defines") != std::string::npos);
}

TEST_CASE("a static constructor that aborts is named") {
  CHECK(reason_of("constructor_aborts") == "killed by SIGABRT in its static constructors");
}

TEST_CASE("a static constructor that hangs is named and killed") {
  CHECK(reason_of("constructor_hangs", 300ms) == "hung for 300 ms in its static constructors");
}

TEST_CASE("create that aborts, ends the process or hangs is named") {
  CHECK(reason_of("aborts_in_create") == "killed by SIGABRT in create");
  CHECK(reason_of("exits_in_create") == "ended the process with status 0 in create");
  CHECK(reason_of("hangs_in_create", 300ms) == "hung for 300 ms in create");
}

TEST_CASE("create that fails, throws or hands over something unusable is refused with its reason") {
  CHECK(reason_of("fails_in_create") == "the fixture was told to fail");
  CHECK(reason_of("throws_in_create") == "the plugin let an exception out: the fixture threw this");
  CHECK(reason_of("unknown_status").find("status -77, which the ABI does not define") != std::string::npos);
  CHECK(reason_of("null_transport") == "it returned FERRY_OK and no transport");
  CHECK(reason_of("short_transport").find("transport has struct_size 4") != std::string::npos);
  CHECK(reason_of("null_transport_ops") == "transport->ops is NULL");
  CHECK(reason_of("short_transport_ops").find("transport->ops has struct_size 16") != std::string::npos);
  CHECK(reason_of("null_connect").find("transport->ops->connect is NULL") != std::string::npos);
  CHECK(reason_of("null_listen").find("transport->ops->listen is NULL") != std::string::npos);
  CHECK(reason_of("null_destroy").find("transport->ops->destroy is NULL") != std::string::npos);
}

TEST_CASE("probing leaves no child behind, and works beside other threads that probe") {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      const PluginFolder folder;
      CHECK(ferry::probe_plugin(folder.add("hangs_in_create"), 200ms).reason == "hung for 200 ms in create");
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  CHECK(errno == ECHILD);
}

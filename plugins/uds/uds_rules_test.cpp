// Addresses, permissions, allow-lists, and errors that say what to do.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <fstream>
#include <string>

#include "ferry/plugin.hpp"
#include "uds_address.hpp"
#include "uds_test_support.hpp"

using namespace ferry;
using namespace ferry::test;

namespace {

constexpr uid_t stranger = 54321;

/// Runs `body` in a child process as another user, who is in the group `stranger` + 1 as well, and returns its result.
int as_stranger(const std::function<int()>& body) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const gid_t more = stranger + 1;
    if (::setgroups(1, &more) != 0 || ::setgid(stranger) != 0 || ::setuid(stranger) != 0) ::_exit(125);
    ::_exit(body());
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}

bool can_change_user() { return ::geteuid() == 0; }

std::string unique_abstract_name() {
  static int count = 0;
  return "@ferry-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
}

std::string parse_failure(std::string_view text) {
  try {
    (void)uds::parse_address(text);
    return "accepted";
  } catch (const plugin::Failure& failure) {
    CHECK(failure.status() == FERRY_INVALID);
    return failure.what();
  }
}

}  // namespace

TEST_CASE("addresses parse and print") {
  for (const std::string text : {"/run/app.sock", "app.sock", "./a/b", "@name", "/a@b", "@/x"}) {
    CHECK(uds::to_text(uds::parse_address(text)) == text);
  }
  CHECK(uds::parse_address("@name").abstract);
  CHECK(uds::absolute(uds::parse_address("a/b"), "/run").text == "/run/a/b");
  CHECK(uds::absolute(uds::parse_address("s"), "/").text == "/s");
  CHECK(uds::absolute(uds::parse_address("./s"), "/run").text == "/run/s");
}

TEST_CASE("malformed addresses are refused with the part at fault") {
  using std::string;
  CHECK(parse_failure("").find("empty") != string::npos);
  CHECK(parse_failure("@").find("empty") != string::npos);
  CHECK(parse_failure(string("/a\0b", 4)).find("NUL at byte 2") != string::npos);
  CHECK(parse_failure(string("\0name", 5)).find("@name") != string::npos);
  CHECK(parse_failure("/run/").find("ends with '/'") != string::npos);
  CHECK(parse_failure("/run/..").find("'..'") != string::npos);
  CHECK(parse_failure(".").find("'.'") != string::npos);
  CHECK(parse_failure("@" + string(107, 'n')) == "accepted");
  CHECK(parse_failure("@" + string(108, 'n')).find("108 bytes") != string::npos);
  CHECK(parse_failure("/" + string(106, 'n')) == "accepted");
  CHECK(parse_failure("/" + string(107, 'n')).find("at most 85") != string::npos);
  string deep;
  for (int i = 0; i < 30; ++i) deep += "/" + string(40, 'd');
  CHECK(parse_failure(deep).find("at most 1103") != string::npos);

  const RawTransport transport(ferry_plugin_v1);
  CHECK(transport.check_address("/run/x.sock").status == FERRY_OK);
  CHECK(transport.check_address("").status == FERRY_INVALID);
}

TEST_CASE("a relative path is reported absolute, and addresses are told") {
  const TemporaryDirectory directory;
  const std::string before = std::filesystem::current_path();
  std::filesystem::current_path(directory.path());
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen("s");
  std::filesystem::current_path(before);
  CHECK(listener.address() == directory / "s");
  const RawPair pair = connected_pair(transport, listener);
  ferry_connection_info info{};
  info.struct_size = sizeof(info);
  CHECK(pair.client.get()->ops->info(pair.client.get(), &info) == FERRY_OK);
  CHECK(std::string(info.peer_address) == directory / "s");
  CHECK(info.kind == FERRY_STREAM);
  CHECK(pair.server.get()->ops->info(pair.server.get(), &info) == FERRY_OK);
  CHECK(std::string(info.local_address) == directory / "s");
}

TEST_CASE("the file goes with the listener, and a bad owner leaves nothing") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  Said said;
  CHECK_FALSE(transport.listen(directory / "s", {{"owner", "no such user"}}, &said));
  CHECK(said.status == FERRY_INVALID);
  CHECK(said.mentions("no such user"));
  CHECK_FALSE(transport.listen(directory / "s", {{"allow_gid", "0,no such group"}}, &said));
  CHECK(said.mentions("no such group"));
  CHECK_FALSE(transport.listen(directory / "s", {{"allow_uid", "4294967295"}}, &said));
  CHECK_FALSE(std::filesystem::exists(directory / "s"));
  RawListener listener = transport.listen(directory / "sub/s", {{"make_dir", "true"}, {"owner", "root"}}, &said);
  CHECK(static_cast<bool>(listener) == can_change_user());
  listener.close();
  CHECK_FALSE(std::filesystem::exists(directory / "sub/s"));
}

TEST_CASE("a second listener is refused, and the next after a crash takes over") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const std::string path = directory / "s";
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const RawListener doomed = transport.listen(path);
    ::_exit(0);
  }
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  REQUIRE(std::filesystem::exists(path));
  Said said;
  (void)transport.connect(path, {}, &said);
  CHECK(said.status == FERRY_REFUSED);
  CHECK(said.mentions("stale"));
  const RawListener next = transport.listen(path);
  CHECK_FALSE(transport.listen(path, {}, &said));
  CHECK(said.status == FERRY_ADDRESS_IN_USE);
  CHECK(said.mentions("running process"));
  const RawPair pair = connected_pair(transport, next);
}

TEST_CASE("connect says why: nothing there, no directory, not a socket, wrong kind") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  Said said;
  (void)transport.connect(directory / "s", {}, &said);
  CHECK(said.status == FERRY_NOT_FOUND);
  CHECK(said.mentions("is the service running?"));
  (void)transport.connect(directory / "no/s", {}, &said);
  CHECK(said.status == FERRY_NOT_FOUND);
  CHECK(said.mentions("no directory " + directory / "no"));
  std::ofstream(directory / "file").flush();
  (void)transport.connect(directory / "file", {}, &said);
  CHECK(said.mentions("not a socket"));
  (void)transport.connect(unique_abstract_name(), {}, &said);
  CHECK(said.status == FERRY_REFUSED);
  CHECK(said.mentions("abstract name"));
  const std::string datagram = directory / "datagram";
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  datagram.copy(address.sun_path, sizeof(address.sun_path) - 1);
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  (void)transport.connect(datagram, {}, &said);
  ::close(fd);
  CHECK(said.status == FERRY_UNSUPPORTED);
}

TEST_CASE("a socket whose mode shuts us out is named with its mode and owner") {
  if (!can_change_user()) return;
  const TemporaryDirectory directory;
  REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s");
  CHECK(as_stranger([&] {
          Said said;
          (void)transport.connect(listener.address(), {}, &said);
          return said.status == FERRY_PERMISSION && said.mentions("socket is 0600, owned by uid 0") ? 0 : 1;
        }) == 0);
  REQUIRE(::chmod(directory.path().c_str(), 0700) == 0);
  CHECK(as_stranger([&] {
          Said said;
          (void)transport.connect(listener.address(), {}, &said);
          return said.status == FERRY_PERMISSION && said.mentions("is 0700, owned by uid 0") ? 0 : 1;
        }) == 0);
}

TEST_CASE("a directory that may not be written to is named with its mode and owner") {
  if (!can_change_user()) return;
  const TemporaryDirectory directory;
  REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
  const RawTransport transport(ferry_plugin_v1);
  CHECK(as_stranger([&] {
          Said said;
          (void)transport.listen(directory / "s", {}, &said);
          return said.status == FERRY_PERMISSION && said.mentions("its directory is 0755, owned by uid 0") ? 0 : 1;
        }) == 0);
}

TEST_CASE("a client that no allow-list admits is turned away, logged, and the listener goes on") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  RawListener listener = transport.listen(directory / "s", {{"allow_uid", std::to_string(stranger)}});
  RawConnection client = transport.connect(listener.address());
  Said said;
  CHECK_FALSE(listener.accept(soon(), &said));
  CHECK(said.status == FERRY_PERMISSION);
  CHECK(transport.logged(FERRY_LOG_PEER_MISBEHAVING) == 1);
  char byte = 0;
  CHECK(client.read(&byte, 1) == FERRY_END);

  const OptionValues values = transport.resolve({{"allow_uid", "any"}});
  const ferry_values passed = values.abi();
  CHECK(listener.get()->ops->reconfigure(listener.get(), &passed, nullptr) == FERRY_OK);
  client = transport.connect(listener.address());
  CHECK(listener.accept(soon(), &said));
}

TEST_CASE("users and groups, supplementary ones too, are admitted by number") {
  if (!can_change_user()) return;
  const TemporaryDirectory directory;
  REQUIRE(::chmod(directory.path().c_str(), 0755) == 0);
  const RawTransport transport(ferry_plugin_v1);
  const auto admits = [&](RawTransport::Settings settings) {
    const RawListener listener = transport.listen(directory / "s", settings);
    CHECK(as_stranger([&] { return transport.connect(listener.address()) ? 0 : 1; }) == 0);
    Said said;
    return static_cast<bool>(listener.accept(soon(), &said));
  };
  const std::string uid = std::to_string(stranger);
  CHECK(admits({{"mode", "0666"}}));
  CHECK(admits({{"mode", "0666"}, {"allow_uid", "0," + uid}}));
  CHECK(admits({{"mode", "0666"}, {"allow_gid", uid}}));
  CHECK(admits({{"mode", "0666"}, {"allow_gid", std::to_string(stranger + 1)}}));
  CHECK_FALSE(admits({{"mode", "0666"}, {"allow_gid", std::to_string(stranger + 2)}}));
  CHECK_FALSE(admits({{"mode", "0666"}, {"allow_uid", "root"}}));
}

TEST_CASE("an abstract listener admits us and refuses strangers unless they are listed") {
  const RawTransport transport(ferry_plugin_v1);
  const std::string name = unique_abstract_name();
  const RawListener listener = transport.listen(name);
  CHECK(listener.address() == name);
  { const RawPair pair = connected_pair(transport, listener); }
  Said said;
  CHECK_FALSE(transport.listen(name, {}, &said));
  CHECK(said.status == FERRY_ADDRESS_IN_USE);
  if (!can_change_user()) return;
  CHECK(as_stranger([&] { return transport.connect(name) ? 0 : 1; }) == 0);
  CHECK_FALSE(listener.accept(soon(), &said));
  CHECK(said.status == FERRY_PERMISSION);
}

TEST_CASE("a client of an abstract name refuses a server that is neither us nor root") {
  if (!can_change_user()) return;
  const RawTransport transport(ferry_plugin_v1);
  const std::string name = unique_abstract_name();
  int ready[2];
  int done[2];
  REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
  REQUIRE(::pipe2(done, O_CLOEXEC) == 0);
  std::thread squatter([&] {
    CHECK(as_stranger([&] {
            ::close(done[1]);
            const RawListener listener = transport.listen(name);
            char byte = 'r';
            return ::write(ready[1], &byte, 1) == 1 && ::read(done[0], &byte, 1) == 0 ? 0 : 1;
          }) == 0);
  });
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  Said said;
  CHECK_FALSE(transport.connect(name, {}, &said));
  CHECK(said.status == FERRY_PERMISSION);
  CHECK(said.mentions("uid 54321"));
  CHECK(transport.connect(name, {{"allow_uid", std::to_string(stranger)}}, &said));
  ::close(done[1]);
  squatter.join();
  for (const int fd : {ready[0], ready[1], done[0]}) ::close(fd);
}

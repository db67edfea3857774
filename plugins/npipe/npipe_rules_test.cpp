// Addresses and what stands in the file system: who may, what is refused, what is left.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <thread>

#include "ferry/endpoint.hpp"
#include "ferry/plugin.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "npipe_address.hpp"
#include "npipe_request_posix.hpp"
#include "npipe_test_support.hpp"

using namespace ferry;
using namespace ferry::test;
using Names = std::set<std::string>;

namespace {

constexpr uid_t stranger = 54321;

bool can_change_user() { return ::geteuid() == 0; }

std::string parse_failure(std::string_view text) {
  try {
    (void)npipe::parse_address(text);
    return "accepted";
  } catch (const plugin::Failure& failure) {
    CHECK(failure.status() == FERRY_INVALID);
    return failure.what();
  }
}

/// Writes `bytes` into the rendezvous FIFO as a program would that has its own ideas.
void intrude(const std::string& fifo, std::string_view bytes) {
  const plugin::UniqueFd writer(::open(fifo.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  REQUIRE(::write(writer.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
}

std::string request_text(const npipe::PairId& id) {
  const npipe::Request request = npipe::make_request(id);
  return {request.begin(), request.end()};
}

/// What connect says of the file at `path`.
Said dial(const RawTransport& transport, const std::string& path, std::int64_t deadline = soon()) {
  Said said;
  CHECK_FALSE(transport.connect(path, {}, &said, deadline));
  return said;
}

Said serve(const RawTransport& transport, const std::string& path, RawTransport::Settings settings = {}) {
  Said said;
  CHECK_FALSE(transport.listen(path, settings, &said));
  return said;
}

}  // namespace

TEST_CASE("addresses parse and print, and are refused with the part at fault") {
  for (const std::string text : {"./pipe/name", "server/pipe/a b", "/run/app.pipe", "/x"}) {
    CHECK(npipe::to_text(npipe::parse_address(text)) == text);
  }
  CHECK(npipe::parse_address("./pipe/name").host == ".");
  CHECK(parse_failure("").find("empty") != std::string::npos);
  CHECK(parse_failure("name").find("./pipe/<name>") != std::string::npos);
  CHECK(parse_failure("./pipe/").find("name is empty") != std::string::npos);
  CHECK(parse_failure("./pipe/a/b").find("holds '/'") != std::string::npos);
  CHECK(parse_failure("./pipe/a\\b").find("holds '\\'") != std::string::npos);
  CHECK(parse_failure("./pipe/..").find("'..'") != std::string::npos);
  CHECK(parse_failure("server.example.org/pipe/a") == "accepted");
  for (const char* host : {".\\C:\\dir", "a\\b", "?", "C:", "*"}) {
    CHECK(parse_failure(std::string(host) + "/pipe/x").find("the pipe's host holds '") != std::string::npos);
  }
  CHECK(parse_failure("a\n/pipe/x").find("control character") != std::string::npos);
  CHECK(parse_failure("/run/").find("ends with '/'") != std::string::npos);
  CHECK(parse_failure(std::string("/a\0b", 4)).find("NUL at byte 2") != std::string::npos);
  CHECK(parse_failure("./pipe/" + std::string(240, 'n')) == "accepted");
  CHECK(parse_failure("./pipe/" + std::string(241, 'n')).find("at most 240") != std::string::npos);
}

TEST_CASE("all spellings of a name lead to one pipe in the run-time directory, and another host is refused") {
  const TemporaryDirectory directory;
  REQUIRE(::setenv("XDG_RUNTIME_DIR", directory.path().c_str(), 1) == 0);
  const RawTransport transport(ferry_plugin_v1);
  const Said nobody = dial(transport, "./pipe/engine");
  CHECK(nobody.status == FERRY_NOT_FOUND);
  CHECK(nobody.mentions("is the service running?"));
  const RawListener listener = transport.listen("./pipe/engine");
  CHECK(files_in(directory.path()) == Names{"ferry", "ferry/pipe", "ferry/pipe/engine", "ferry/pipe/engine.clients"});
  CHECK((std::filesystem::status(directory / "ferry/pipe").permissions() & std::filesystem::perms(0777)) ==
        std::filesystem::perms(0700));
  for (const char* spelling :
       {"npipe://./pipe/engine", "tab.pipe://./pipe/engine", "\\\\.\\pipe\\engine", "NPIPE://./pipe/engine"}) {
    const Endpoint endpoint = parse_endpoint(spelling);
    CHECK(endpoint.scheme == "npipe");
    CHECK(endpoint.address == listener.address());
  }
  const RawPair by_name = join(transport, listener);
  auto by_path = std::async(std::launch::async, [&] {
    return transport.connect(parse_endpoint("npipe://" + (directory / "ferry/pipe/engine")).address);
  });
  CHECK(listener.accept());
  CHECK(by_path.get());
  for (const char* spelling :
       {"tab.pipe://server/pipe/engine", "\\\\server\\pipe\\engine", "npipe://server/pipe/engine"}) {
    const Said said = dial(transport, parse_endpoint(spelling).address);
    CHECK(said.status == FERRY_UNSUPPORTED);
    CHECK(said.mentions("tcp://server"));
  }
  CHECK(serve(transport, "server/pipe/engine").status == FERRY_UNSUPPORTED);
  ::unsetenv("XDG_RUNTIME_DIR");
}

TEST_CASE("a run-time directory that others may enter is refused") {
  const TemporaryDirectory directory;
  REQUIRE(::setenv("XDG_RUNTIME_DIR", directory.path().c_str(), 1) == 0);
  const RawTransport transport(ferry_plugin_v1);
  REQUIRE(::mkdir((directory / "ferry").c_str(), 0700) == 0);
  REQUIRE(::mkdir((directory / "ferry/pipe").c_str(), 0700) == 0);
  REQUIRE(::chmod((directory / "ferry/pipe").c_str(), 0770) == 0);
  for (const Said& said : {serve(transport, "./pipe/x"), dial(transport, "./pipe/x")}) {
    CHECK(said.status == FERRY_PERMISSION);
    CHECK(said.mentions("0700"));
  }
  REQUIRE(::chmod((directory / "ferry/pipe").c_str(), 0700) == 0);
  if (can_change_user()) {
    REQUIRE(::chown((directory / "ferry/pipe").c_str(), stranger, stranger) == 0);
    CHECK(serve(transport, "./pipe/x").status == FERRY_PERMISSION);
    CHECK(dial(transport, "./pipe/x").status == FERRY_PERMISSION);
  }
  std::filesystem::remove(directory / "ferry/pipe");
  REQUIRE(::symlink(directory.path().c_str(), (directory / "ferry/pipe").c_str()) == 0);
  CHECK(serve(transport, "./pipe/x").status == FERRY_PERMISSION);
  CHECK(dial(transport, "./pipe/x").status == FERRY_PERMISSION);
  ::unsetenv("XDG_RUNTIME_DIR");
}

TEST_CASE("planted files are refused by both sides, at once, and are still there") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const std::string path = directory / "p";
  const std::string real = directory / "real";
  REQUIRE(::mkfifo(real.c_str(), 0600) == 0);
  struct Plant {
    const char* words;
    std::function<bool()> make;
    ferry_status listen_status;
  };
  const Plant plants[] = {
      {"symbolic link", [&] { return ::symlink(real.c_str(), path.c_str()) == 0; }, FERRY_ADDRESS_IN_USE},
      {"symbolic link", [&] { return ::symlink("nowhere", path.c_str()) == 0; }, FERRY_ADDRESS_IN_USE},
      {"no FIFO", [&] { return static_cast<bool>(std::ofstream(path) << "precious"); }, FERRY_ADDRESS_IN_USE},
      {"no FIFO", [&] { return ::mkdir(path.c_str(), 0700) == 0; }, FERRY_ADDRESS_IN_USE},
      {"uid 54321", [&] { return ::mkfifo(path.c_str(), 0666) == 0 && ::chown(path.c_str(), stranger, stranger) == 0; },
       FERRY_PERMISSION},
  };
  for (const Plant& plant : plants) {
    CAPTURE(plant.words);
    if (!can_change_user() && plant.listen_status == FERRY_PERMISSION) continue;
    REQUIRE(plant.make());
    const Said dialled = dial(transport, path);
    CHECK(dialled.status == FERRY_PERMISSION);
    CHECK(dialled.mentions(plant.words));
    const Said served = serve(transport, path);
    CHECK(served.status == plant.listen_status);
    CHECK(served.mentions(plant.words));
    CHECK(std::filesystem::exists(std::filesystem::symlink_status(path)));
    CHECK(files_in(directory.path()) == Names{"p", "real"});
    std::filesystem::remove(path);
  }
}

TEST_CASE("a clients' directory that is not ours alone is refused by both sides") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const std::string clients = directory / "p.clients";
  REQUIRE(::symlink("/tmp", clients.c_str()) == 0);
  CHECK(serve(transport, directory / "p").status == FERRY_PERMISSION);
  std::filesystem::remove(clients);
  const RawListener listener = transport.listen(directory / "p");
  REQUIRE(::chmod(clients.c_str(), 0755) == 0);
  CHECK(dial(transport, directory / "p").status == FERRY_PERMISSION);
  REQUIRE(::chmod(clients.c_str(), 0700) == 0);
  if (!can_change_user()) return;
  REQUIRE(::chown(clients.c_str(), stranger, stranger) == 0);
  CHECK(dial(transport, directory / "p").status == FERRY_PERMISSION);
  REQUIRE(::mkdir((directory / "q.clients").c_str(), 0700) == 0);
  REQUIRE(::chown((directory / "q.clients").c_str(), stranger, stranger) == 0);
  CHECK(serve(transport, directory / "q").status == FERRY_PERMISSION);
}

TEST_CASE("what a request names is used only if it is a FIFO of ours") {
  const Pipes pipes;
  const std::string fifo = pipes.directory / "p";
  const npipe::PairId id{1, 2, 3};
  const std::string up = fifo + ".clients/" + npipe::to_text(id) + ".up";
  const std::string down = fifo + ".clients/" + npipe::to_text(id) + ".down";
  const std::string precious = pipes.directory / "precious";
  std::ofstream(precious) << "precious";
  REQUIRE(::symlink(precious.c_str(), down.c_str()) == 0);
  std::ofstream(up) << "a file";
  intrude(fifo, request_text(id));
  // One that would hang or end an unwary open: a FIFO that nobody reads.
  const npipe::PairId lonely{9};
  for (const char* end : {".up", ".down"}) {
    REQUIRE(::mkfifo((fifo + ".clients/" + npipe::to_text(lonely) + end).c_str(), 0600) == 0);
  }
  intrude(fifo, request_text(lonely));
  const RawPair pair = pipes.pair();
  CHECK(pair.client.write("through") == 7);
  CHECK(pipes.transport.logged(FERRY_LOG_PEER_MISBEHAVING) == 1);
  std::string content;
  std::ifstream(precious) >> content;
  CHECK(content == "precious");
  CHECK(files_in(pipes.directory.path()) == Names{"p", "p.clients", "precious"});
}

TEST_CASE("bytes that are no request are skipped, and the requests among them are found") {
  const Pipes pipes;
  const std::string fifo = pipes.directory / "p";
  const std::string request = request_text({7});
  const std::string junk[] = {"x", request.substr(0, 31), request.substr(0, 9), std::string(50, '\xF5')};
  for (const std::string& bytes : junk) {
    intrude(fifo, bytes);
    const RawPair pair = pipes.pair();
    CHECK(pair.client.write("ok") == 2);
  }
  CHECK(pipes.transport.logged(FERRY_LOG_PEER_MISBEHAVING) > 0);
}

TEST_CASE("a flood of requests that come to nothing ends a call of accept, not the listener") {
  const Pipes pipes;
  std::string flood;
  for (std::uint8_t i = 0; i < 100; ++i) flood += request_text({i});
  intrude(pipes.directory / "p", flood);
  Said said;
  CHECK_FALSE(pipes.listener.accept(soon(), &said));
  CHECK(said.status == FERRY_PROTOCOL);
  const RawPair pair = pipes.pair();
  CHECK(pair.client.write("ok") == 2);
}

TEST_CASE("clients that come at once each get a connection of their own") {
  const Pipes pipes;
  constexpr int count = 40;
  std::vector<std::thread> clients;
  for (int i = 0; i < count; ++i) {
    clients.emplace_back([&, i] {
      Said said;
      const RawConnection client = pipes.transport.connect(pipes.directory / "p", {}, &said);
      const std::string number(1, static_cast<char>(i));
      char echo = -1;
      if (client && client.write(number) == 1) (void)client.read(&echo, 1);
      CHECK(echo == number[0]);
    });
  }
  std::set<char> seen;
  std::vector<RawConnection> servers;
  for (int i = 0; i < count; ++i) {
    servers.push_back(pipes.listener.accept());
    char number = 0;
    CHECK(servers.back().read(&number, 1) == 1);
    CHECK(servers.back().write(std::string(1, number)) == 1);
    seen.insert(number);
  }
  for (std::thread& client : clients) client.join();
  CHECK(seen.size() == count);
  CHECK(pipes.transport.logged(FERRY_LOG_PEER_MISBEHAVING) == 0);
  CHECK(files_in(pipes.directory.path()) == Names{"p", "p.clients"});
}

TEST_CASE("close leaves nothing, cuts the clients that wait, and a cancelled client leaves nothing") {
  Pipes pipes;
  Said late;
  {
    Sleeper waiting([&] { late = dial(pipes.transport, pipes.directory / "p"); });
    waiting.until_asleep();
    CHECK(dial(pipes.transport, pipes.directory / "p", in_ms(20)).status == FERRY_TIMED_OUT);
    CHECK(files_in(pipes.directory.path()).size() == 4);  // those of the client that still waits
    pipes.listener.close();
  }
  CHECK(late.status == FERRY_REFUSED);
  CHECK(late.mentions("ended"));
  CHECK(files_in(pipes.directory.path()).empty());
}

TEST_CASE("after a crash the pipe is stale to clients, and the next listener takes it over and cleans up") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const std::string path = directory / "p";
  CHECK(wait_for(in_child([&] {
          (void)new RawListener(transport.listen(path));  // never closed
          return ::mkfifo((path + ".clients/of_a_dead_client.up").c_str(), 0600) == 0 ? 0 : 1;
        })) == 0);
  CHECK(files_in(directory.path()) == Names{"p", "p.clients", "p.clients/of_a_dead_client.up"});
  const Said said = dial(transport, path);
  CHECK(said.status == FERRY_REFUSED);
  CHECK(said.mentions("stale"));
  const Said kept = serve(transport, path, {{"takeover", "false"}});
  CHECK(kept.status == FERRY_ADDRESS_IN_USE);
  CHECK(kept.mentions("takeover=true"));
  {
    const RawListener next = transport.listen(path);
    CHECK(files_in(directory.path()) == Names{"p", "p.clients"});
    const Said second = serve(transport, path);
    CHECK(second.status == FERRY_ADDRESS_IN_USE);
    CHECK(second.mentions("running process"));
    const RawPair pair = join(transport, next);
    CHECK(pair.client.write("x") == 1);
  }
  CHECK(files_in(directory.path()).empty());
}

TEST_CASE("a stale pipe is left to whoever holds the lock for taking it over") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const std::string path = directory / "p";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  struct stat before {};
  struct stat after {};
  REQUIRE(::stat(path.c_str(), &before) == 0);
  {
    const plugin::UniqueFd other(::open((path + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    REQUIRE(::flock(other.get(), LOCK_EX) == 0);
    const Said said = serve(transport, path);
    CHECK(said.status == FERRY_ADDRESS_IN_USE);
    CHECK(said.mentions("lock file"));
    REQUIRE(::stat(path.c_str(), &after) == 0);
    CHECK(after.st_ino == before.st_ino);
  }
  { const RawListener next = transport.listen(path); }
  CHECK(files_in(directory.path()).empty());
}

TEST_CASE("of many that take over a stale pipe at once exactly one listens") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  for (int round = 0; round < 20; ++round) {
    const std::string path = directory / std::to_string(round);
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    std::vector<std::future<RawListener>> racers;
    std::atomic<bool> go = false;
    for (int i = 0; i < 4; ++i) {
      racers.push_back(std::async(std::launch::async, [&] {
        while (!go) std::this_thread::yield();
        Said said;
        RawListener listener = transport.listen(path, {}, &said);
        CHECK((said.status == FERRY_OK || said.status == FERRY_ADDRESS_IN_USE));
        return listener;
      }));
    }
    go = true;
    std::vector<RawListener> winners;
    for (auto& racer : racers) {
      if (RawListener listener = racer.get()) winners.push_back(std::move(listener));
    }
    REQUIRE(winners.size() == 1);
    const RawPair pair = join(transport, winners.front());
    CHECK(pair.client.write("x") == 1);
  }
  CHECK(files_in(directory.path()).empty());
}

TEST_CASE("a pipe removed by hand and served anew is left alone by its first listener") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  RawListener first = transport.listen(directory / "p");
  REQUIRE(::unlink((directory / "p").c_str()) == 0);
  const RawListener second = transport.listen(directory / "p");
  first.close();
  const RawPair pair = join(transport, second);
  CHECK(pair.client.write("x") == 1);
}

TEST_CASE("what a client that died while it connected left behind goes when the listener next waits") {
  const Pipes pipes;
  const std::string clients = pipes.directory / "p.clients";
  REQUIRE(::mkfifo((clients + "/left.up").c_str(), 0600) == 0);
  Said said;
  {
    // A client that connects at this moment holds the lock: its FIFOs must stay.
    const plugin::UniqueFd other(::open(clients.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(::flock(other.get(), LOCK_SH) == 0);
    const RawPair pair = pipes.pair();
    CHECK_FALSE(pipes.listener.accept(FERRY_NO_WAIT, &said));
    CHECK(files_in(clients) == Names{"left.up"});
  }
  const RawPair pair = pipes.pair();
  CHECK_FALSE(pipes.listener.accept(FERRY_NO_WAIT, &said));
  CHECK(files_in(clients).empty());
}

TEST_CASE("only so many clients wait; others wait to be let in, and everybody is served in the end") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "p", {{"backlog", "1"}});
  std::vector<ferry_value> values(listener.get() != nullptr ? 3 : 0);
  REQUIRE(listener.get()->ops->effective(listener.get(), values.data(), 3) == FERRY_OK);
  const std::int64_t backlog = values[transport.option("backlog")].integer;
  CHECK(backlog == 128);  // what fits in one page
  std::string requests;
  for (std::int64_t i = 0; i < backlog; ++i) requests += request_text({static_cast<std::uint8_t>(i), 1});
  intrude(directory / "p", requests);
  Said said;
  Sleeper waiting([&] { (void)transport.connect(directory / "p", {}, &said); });
  waiting.until_asleep();
  RawConnection server;
  while (!server) server = listener.accept();
  waiting.join();
  CHECK(said.status == FERRY_OK);
}

TEST_CASE("without a descriptor left accept says so, and the client goes on waiting") {
  const Pipes pipes;
  Said said;
  Sleeper waiting([&] { (void)pipes.transport.connect(pipes.directory / "p", {}, &said); });
  waiting.until_asleep();
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{3, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  Said refused;
  const bool taken = static_cast<bool>(pipes.listener.accept(soon(), &refused));
  const std::int32_t armed = pipes.listener.get()->ops->arm(pipes.listener.get());
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK_FALSE(taken);
  CHECK(refused.status == FERRY_NO_RESOURCES);
  CHECK(refused.mentions("descriptors"));
  CHECK(armed == FERRY_READY);
  CHECK(pipes.listener.accept());
  waiting.join();
  CHECK(said.status == FERRY_OK);
}

TEST_CASE("pipe_size is granted as far as the system allows, and the granted size is told") {
  const Pipes pipes;
  const auto size_of = [&](const RawConnection& connection) {
    ferry_value value{};
    REQUIRE(connection.get()->ops->effective(connection.get(), &value, 1) == FERRY_OK);
    return value.integer;
  };
  const RawPair pair = pipes.pair({{"pipe_size", "100KiB"}});
  CHECK(size_of(pair.client) == 128 * 1024);
  CHECK(size_of(pair.server) == 1024 * 1024);
  const std::string block(4096, 'x');
  std::int64_t written = 0;
  for (std::int64_t size = 0; (size = pair.client.write(block, FERRY_NO_WAIT)) > 0;) written += size;
  CHECK(written == 128 * 1024);
  if (!can_change_user()) return;
  const auto granted_to_stranger = [&] {
    if (::setuid(stranger) != 0) return 1;
    const OptionValues values = pipes.transport.resolve({{"pipe_size", "64MiB"}});
    const ferry_values passed = values.abi();
    ferry_value granted{};
    const ferry_transport* const transport = pipes.transport.get();
    transport->ops->effective(pipes.transport.get(), &passed, &granted, 1, nullptr);
    return granted.integer >= 4096 && granted.integer < (64 << 20) ? 0 : 2;
  };
  CHECK(wait_for(in_child(granted_to_stranger)) == 0);
}

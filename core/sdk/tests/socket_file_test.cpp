#include "ferry/sdk/socket_file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <barrier>
#include <fstream>
#include <optional>
#include <string>

#include "ferry/sdk/lock_file.hpp"
#include "ferry/sdk/unix_socket.hpp"
#include "support/raw_transport.hpp"

using namespace ferry;
using namespace ferry::plugin;
using ferry::test::TemporaryDirectory;

namespace {

UniqueFd make_socket(int type = SOCK_STREAM) {
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  REQUIRE(fd);
  return fd;
}

struct Server {
  explicit Server(const std::string& path, const SocketFileOptions& options = {})
      : file(SocketFile::bind(socket.get(), path, options)) {
    REQUIRE(::listen(socket.get(), 8) == 0);
  }
  UniqueFd socket = make_socket();
  SocketFile file;
};

bool exists(const std::string& path) {
  struct stat file {};
  return ::lstat(path.c_str(), &file) == 0;
}

mode_t mode_of(const std::string& path) {
  struct stat file {};
  REQUIRE(::lstat(path.c_str(), &file) == 0);
  return file.st_mode & 07777;
}

/// Leaves a socket file that nobody serves.
void leave_stale(const std::string& path, int type = SOCK_STREAM) {
  const UniqueFd fd = make_socket(type);
  const UnixSocketAddress address = path_socket_address(path);
  REQUIRE(::bind(fd.get(), address.get(), address.size) == 0);
}

/// The Failure of binding at `path`; status FERRY_OK when it succeeded.
test::Said refused(const std::string& path, const SocketFileOptions& options = {}) {
  const UniqueFd fd = make_socket();
  try {
    const SocketFile file = SocketFile::bind(fd.get(), path, options);
    return {};
  } catch (const Failure& failure) {
    return {failure.status(), failure.what()};
  }
}

}  // namespace

TEST_CASE("a socket file has its mode whatever the umask, and goes with its listener") {
  const TemporaryDirectory directory;
  const std::string path = directory / "s";
  const mode_t before = ::umask(0077);
  for (const mode_t mode : {0600u, 0666u, 0660u, 0700u, 0u}) {
    SocketFileOptions options;
    options.mode = mode;
    {
      const UniqueFd socket = make_socket();
      const SocketFile file = SocketFile::bind(socket.get(), path, options);
      CHECK(mode_of(path) == mode);  // before listen, and so before any client
      CHECK(file.mode() == static_cast<int>(mode));
    }
    CHECK_FALSE(exists(path));
  }
  ::umask(before);
}

TEST_CASE("owner and group are applied, and a refusal leaves no file behind") {
  const TemporaryDirectory directory;
  const std::string path = directory / "s";
  SocketFileOptions options;
  options.owner = 12345;
  options.group = 23456;
  if (::geteuid() == 0) {
    const Server server(path, options);
    struct stat file {};
    REQUIRE(::lstat(path.c_str(), &file) == 0);
    CHECK(file.st_uid == 12345);
    CHECK(file.st_gid == 23456);
    CHECK((file.st_mode & 0777) == 0600);
  } else {
    CHECK(refused(path, options).status == FERRY_PERMISSION);
  }
  CHECK_FALSE(exists(path));
}

TEST_CASE("a stale socket is taken over and no lock file stays") {
  const TemporaryDirectory directory;
  const std::string path = directory / "s";
  for (const int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
    leave_stale(path, type);
    const Server server(path);
    CHECK(exists(path));
    CHECK_FALSE(exists(path + ".lock"));
  }
}

TEST_CASE("a stale socket stays when taking over is not wanted") {
  const TemporaryDirectory directory;
  const std::string path = directory / "s";
  leave_stale(path);
  SocketFileOptions options;
  options.take_over = false;
  const auto said = refused(path, options);
  CHECK(said.status == FERRY_ADDRESS_IN_USE);
  CHECK(said.mentions("takeover=true"));
  CHECK(exists(path));
}

TEST_CASE("a live socket is never taken over, and does not notice the attempt") {
  const TemporaryDirectory directory;
  const std::string path = directory / "s";
  const Server server(path);
  CHECK(refused(path).status == FERRY_ADDRESS_IN_USE);
  CHECK(::accept4(server.socket.get(), nullptr, nullptr, 0) == -1);
  CHECK(errno == EAGAIN);
  const UniqueFd client = make_socket();
  const UnixSocketAddress address = path_socket_address(path);
  CHECK(::connect(client.get(), address.get(), address.size) == 0);
}

TEST_CASE("a socket that is bound but does not listen yet is live") {
  const TemporaryDirectory directory;
  const std::string path = directory / "s";
  const UniqueFd early = make_socket();
  const UnixSocketAddress address = path_socket_address(path);
  REQUIRE(::bind(early.get(), address.get(), address.size) == 0);
  CHECK(refused(path).status == FERRY_ADDRESS_IN_USE);
  CHECK(exists(path));
}

TEST_CASE("regular files, directories and symbolic links are never replaced") {
  const TemporaryDirectory directory;
  const std::string file = directory / "file";
  std::ofstream(file) << "precious";
  const std::string stale = directory / "stale";
  leave_stale(stale);
  const std::string link = directory / "link";
  REQUIRE(::symlink(stale.c_str(), link.c_str()) == 0);
  const std::string dangling = directory / "dangling";
  REQUIRE(::symlink((directory / "nothing").c_str(), dangling.c_str()) == 0);

  CHECK(refused(file).mentions("no socket"));
  CHECK(refused(directory.path().string()).status == FERRY_ADDRESS_IN_USE);
  CHECK(refused(link).mentions("symbolic link"));
  CHECK(refused(dangling).mentions("symbolic link"));
  CHECK(std::filesystem::file_size(file) == 8);
  CHECK(exists(stale));
  CHECK_FALSE(exists(directory / "nothing"));
}

TEST_CASE("of many who take over one stale socket at once exactly one gets it") {
  constexpr int takers = 4;
  constexpr int rounds = 50;
  const TemporaryDirectory directory;
  const std::string path = directory / "s";
  std::atomic<int> winners{0};
  std::barrier line(takers + 1);
  std::vector<std::thread> threads;
  for (int i = 0; i < takers; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < rounds; ++round) {
        line.arrive_and_wait();
        {
          const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
          std::optional<SocketFile> file;
          try {
            file.emplace(SocketFile::bind(socket.get(), path, {}));
            ++winners;
          } catch (const Failure&) {
          }
          line.arrive_and_wait();  // nobody closes before everybody has tried
        }
        line.arrive_and_wait();
      }
    });
  }
  for (int round = 0; round < rounds; ++round) {
    winners = 0;
    leave_stale(path);
    line.arrive_and_wait();
    line.arrive_and_wait();
    CHECK(winners == 1);
    line.arrive_and_wait();
    CHECK_FALSE(exists(path));
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("closing leaves a file that is no longer ours") {
  const TemporaryDirectory directory;
  const std::string path = directory / "s";
  {
    const Server old(path);
    REQUIRE(::unlink(path.c_str()) == 0);
    leave_stale(path);
  }
  CHECK(exists(path));
}

TEST_CASE("a lock file that is a link, a fifo or somebody else's is refused") {
  const TemporaryDirectory directory;
  const std::string path = directory / "s";
  leave_stale(path);
  const std::string lock = path + ".lock";

  const std::string victim = directory / "victim";
  REQUIRE(::symlink(victim.c_str(), lock.c_str()) == 0);
  CHECK(refused(path).mentions("s.lock is a symbolic link"));
  CHECK_FALSE(exists(victim));
  REQUIRE(::unlink(lock.c_str()) == 0);

  REQUIRE(::mkfifo(lock.c_str(), 0600) == 0);
  CHECK(refused(path).status == FERRY_PERMISSION);
  REQUIRE(::unlink(lock.c_str()) == 0);

  if (::geteuid() == 0) {
    std::ofstream(lock).flush();
    REQUIRE(::chown(lock.c_str(), 12345, 12345) == 0);
    CHECK(refused(path).mentions("uid 12345"));
  }
  CHECK(exists(path));
}

TEST_CASE("a held lock keeps takers out for a bounded time, and one with content outlives its use") {
  const TemporaryDirectory directory;
  const std::string path = directory / "s";
  const std::string lock = path + ".lock";
  std::ofstream(lock) << "4711\n";
  leave_stale(path);
  {
    const UniqueFd holder(::open(lock.c_str(), O_RDWR | O_CLOEXEC));
    REQUIRE(::flock(holder.get(), LOCK_EX) == 0);
    const auto said = refused(path);
    CHECK(said.status == FERRY_ADDRESS_IN_USE);
    CHECK(said.mentions("s.lock"));
  }
  { const Server server(path); }
  CHECK(exists(lock));
}

TEST_CASE("only one holder at a time gets through a lock file that is removed after each use") {
  constexpr int holders = 4;
  constexpr int rounds = 200;
  const TemporaryDirectory directory;
  const UniqueFd at(::open(directory.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  std::atomic<int> inside{0};
  std::atomic<int> collisions{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < holders; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < rounds; ++round) {
        const LockFile lock(at.get(), "lock", 30'000);
        if (inside.fetch_add(1) != 0) ++collisions;
        std::this_thread::yield();
        inside.fetch_sub(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(collisions == 0);
  CHECK_FALSE(exists(directory / "lock"));
}

TEST_CASE("the directory is made private when asked, and an unsafe one refused") {
  const TemporaryDirectory directory;
  const std::string path = directory / "made/s";
  const auto said = refused(path);
  CHECK(said.status == FERRY_NOT_FOUND);
  CHECK(said.mentions("make_dir=true"));

  SocketFileOptions options;
  options.make_directory = true;
  { const Server server(path, options); }
  CHECK(mode_of(directory / "made") == 0700);
  { const Server again(path, options); }

  REQUIRE(::chmod((directory / "made").c_str(), 0777) == 0);
  CHECK(refused(path, options).status == FERRY_PERMISSION);
  REQUIRE(::chmod((directory / "made").c_str(), 01777) == 0);
  CHECK(refused(path, options).status == FERRY_OK);
}

TEST_CASE("paths longer than sun_path bind, connect, are taken over and go") {
  const TemporaryDirectory directory;
  std::string deep = directory.path().string();
  for (int i = 0; i < 4; ++i) {
    deep += "/" + std::string(60, static_cast<char>('a' + i));
    REQUIRE(::mkdir(deep.c_str(), 0700) == 0);
  }
  const int before = test::count_fds();
  for (const std::size_t name_size : {1u, 50u, static_cast<unsigned>(max_long_path_name_bytes)}) {
    const std::string path = deep + "/" + std::string(name_size, 'n');
    leave_stale(path);
    {
      const Server server(path);
      CHECK(mode_of(path) == 0600);
      UniqueFd client;
      CHECK(connect_unix(path_socket_address(path), path, FERRY_NO_WAIT, nullptr, client) == FERRY_OK);
    }
    CHECK_FALSE(exists(path));
  }
  CHECK(test::count_fds() == before);
  const auto said = refused(deep + "/" + std::string(max_long_path_name_bytes + 1, 'n'));
  CHECK(said.status == FERRY_INVALID);
  CHECK(said.mentions("86 bytes"));
}

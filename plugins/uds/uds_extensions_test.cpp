// Credentials, descriptor passing, statistics, and what the kernel granted.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstring>
#include <string>

#include "ferry/sdk/unique_fd.hpp"
#include "uds_test_support.hpp"

using namespace ferry;
using namespace ferry::test;

namespace {

struct Fixture : UdsListening {
  RawPair pair = connect();
  const ferry_fds& fds = *pair.client.extension<ferry_fds>(FERRY_EXT_FDS);

  std::int64_t send(const std::vector<std::int32_t>& sent, std::string_view text = "x") const {
    return fds.send(pair.client.get(), text.data(), text.size(), sent.data(), static_cast<std::uint32_t>(sent.size()),
                    soon());
  }
  std::int64_t receive(std::vector<std::int32_t>& into) const {
    char bytes[64];
    auto count = static_cast<std::uint32_t>(into.size());
    const std::int64_t size = fds.receive(pair.server.get(), bytes, sizeof(bytes), into.data(), &count, soon());
    into.resize(count);
    return size;
  }
};

bool same_file(int a, int b) {
  struct stat first {};
  struct stat second {};
  return ::fstat(a, &first) == 0 && ::fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

}  // namespace

TEST_CASE("passed descriptors arrive with their bytes, close-on-exec, and belong to the receiver") {
  const Fixture fixture;
  const int before = count_fds();
  const int null = ::open("/dev/null", O_RDONLY);
  const int zero = ::open("/dev/zero", O_RDONLY);
  CHECK(fixture.send({null, zero}, "two") == 3);
  std::vector<std::int32_t> got(4);
  CHECK(fixture.receive(got) == 3);
  REQUIRE(got.size() == 2);
  CHECK(same_file(got[0], null));
  CHECK(same_file(got[1], zero));
  CHECK((::fcntl(got[0], F_GETFD) & FD_CLOEXEC) != 0);
  for (const int fd : {got[0], got[1], null, zero}) ::close(fd);
  CHECK(count_fds() == before);
}

TEST_CASE("as many descriptors as the limit allows pass, and more are refused") {
  const Fixture fixture;
  const int before = count_fds();
  std::vector<std::int32_t> got(FERRY_MAX_FDS);
  CHECK(fixture.send(std::vector<std::int32_t>(FERRY_MAX_FDS, 1)) == 1);
  CHECK(fixture.receive(got) == 1);
  CHECK(got.size() == FERRY_MAX_FDS);
  for (const int fd : got) ::close(fd);
  CHECK(fixture.send(std::vector<std::int32_t>(FERRY_MAX_FDS + 1, 1)) == FERRY_INVALID);
  CHECK(fixture.send({1}, "") == FERRY_INVALID);
  CHECK(count_fds() == before);
}

TEST_CASE("descriptors beyond the capacity are closed and none leaks") {
  const Fixture fixture;
  const int before = count_fds();
  CHECK(fixture.send({1, 1, 1}) == 1);
  std::vector<std::int32_t> got(2);
  CHECK(fixture.receive(got) == FERRY_TOO_LARGE);
  CHECK(got.empty());
  CHECK(count_fds() == before);

  CHECK(fixture.send({1}) == 1);
  got.clear();
  CHECK(fixture.receive(got) == FERRY_TOO_LARGE);
  CHECK(count_fds() == before);
}

TEST_CASE("more descriptors in one message than our own limit are closed, none leaks") {
  Fixture fixture;
  const int before = count_fds();
  // What a foreign program may send: the kernel's limit of 253 in one message.
  ferry_pollable raw{};
  fixture.pair.client.get()->ops->pollable(fixture.pair.client.get(), FERRY_WRITE, &raw);
  constexpr std::size_t many = 253;
  alignas(cmsghdr) char control[CMSG_SPACE(many * sizeof(int))] = {};
  char byte = 'x';
  iovec piece{&byte, 1};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(many * sizeof(int));
  std::vector<int> sent(many, 1);
  std::memcpy(CMSG_DATA(header), sent.data(), many * sizeof(int));
  REQUIRE(::sendmsg(static_cast<int>(raw.handle), &message, MSG_NOSIGNAL) == 1);
  std::vector<std::int32_t> got(FERRY_MAX_FDS);
  CHECK(fixture.receive(got) == FERRY_TOO_LARGE);
  CHECK(count_fds() == before);
}

TEST_CASE("descriptors that arrive during a plain read or stay unread are closed by the kernel") {
  Fixture fixture;
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
  const int before = count_fds();
  CHECK(fixture.send({ends[1]}, "plain") == 5);
  char bytes[8];
  CHECK(fixture.pair.server.read(bytes, sizeof(bytes)) == 5);
  CHECK(count_fds() == before);
  CHECK(fixture.send({ends[1]}, "unread") == 6);
  CHECK(fixture.pair.server.finish() == FERRY_OK);
  ::close(ends[1]);
  // The pipe has no writer left anywhere, so its reader sees the end.
  CHECK(::read(ends[0], bytes, 1) == 0);
  ::close(ends[0]);
}

TEST_CASE("a receiver without free descriptors gets an error and leaks none") {
  const Fixture fixture;
  CHECK(fixture.send({1, 1}) == 1);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const int open_before = count_fds();
  const rlimit none{3, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  std::vector<std::int32_t> got(4);
  const std::int64_t size = fixture.receive(got);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(size == FERRY_NO_RESOURCES);
  CHECK(got.empty());
  CHECK(count_fds() == open_before);
}

TEST_CASE("receive waits, is interrupted, and sees the end like read") {
  Fixture fixture;
  std::vector<std::int32_t> got(1);
  std::int64_t size = 0;
  Sleeper sleeper([&] { size = fixture.receive(got); });
  sleeper.until_asleep();
  fixture.pair.server.interrupt();
  sleeper.join();
  CHECK(size == FERRY_INTERRUPTED);
  fixture.pair.client.close();
  CHECK(fixture.receive(got) == FERRY_END);
}

TEST_CASE("both ends learn who the other is") {
  const Fixture fixture;
  for (const RawConnection* end : {&fixture.pair.client, &fixture.pair.server}) {
    const auto* peer = end->extension<ferry_peer>(FERRY_EXT_PEER);
    REQUIRE(peer != nullptr);
    ferry_credentials who{sizeof(ferry_credentials), 0, 0, 0, 0};
    CHECK(peer->credentials(end->get(), &who) == FERRY_OK);
    CHECK(who.uid == ::geteuid());
    CHECK(who.gid == ::getegid());
    CHECK(who.pid == ::getpid());
  }
  CHECK(fixture.pair.client.extension<void>("ferry.peer/2") == nullptr);
}

TEST_CASE("statistics tell what is queued") {
  const Fixture fixture;
  CHECK(fixture.pair.client.write("12345") == 5);
  const auto* statistics = fixture.pair.server.extension<ferry_statistics>(FERRY_EXT_STATISTICS);
  REQUIRE(statistics != nullptr);
  ferry_statistic figures[4];
  CHECK(statistics->read(fixture.pair.server.get(), figures, 4) == 2);
  CHECK(std::string(figures[0].name) == "receive_queue");
  CHECK(figures[0].value == 5);
  CHECK(statistics->read(fixture.pair.server.get(), nullptr, 0) == 2);
}

TEST_CASE("effective buffers are what the kernel granted, on connections, listeners and in advance") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawTransport::Settings settings = {{"sndbuf", "16KiB"}, {"mode", "0640"}, {"backlog", "7"}};
  const RawListener listener = transport.listen(directory / "s", settings);
  const RawPair pair = connected_pair(transport, listener, settings);
  const OptionValues values = transport.resolve(settings);
  const ferry_values passed = values.abi();
  const std::uint32_t sndbuf = transport.option("sndbuf");

  std::vector<ferry_value> ahead(values.size());
  std::vector<ferry_value> here(values.size());
  std::vector<ferry_value> there(values.size());
  std::vector<ferry_value> listening(values.size());
  transport.get()->ops->effective(transport.get(), &passed, ahead.data(), values.size(), nullptr);
  pair.client.get()->ops->effective(pair.client.get(), here.data(), values.size());
  pair.server.get()->ops->effective(pair.server.get(), there.data(), values.size());
  listener.get()->ops->effective(listener.get(), listening.data(), values.size());

  ferry_pollable raw{};
  pair.client.get()->ops->pollable(pair.client.get(), FERRY_READ, &raw);
  int kernel = 0;
  socklen_t size = sizeof(kernel);
  REQUIRE(::getsockopt(static_cast<int>(raw.handle), SOL_SOCKET, SO_SNDBUF, &kernel, &size) == 0);
  for (const auto* all : {&ahead, &here, &there, &listening}) CHECK((*all)[sndbuf].integer == kernel);
  CHECK(listening[transport.option("mode")].integer == 0640);
  CHECK(listening[transport.option("backlog")].integer == 7);
  CHECK(here[transport.option("mode")].is_set == 0);
  ferry_value one{};
  CHECK(pair.client.get()->ops->effective(pair.client.get(), &one, 1) == FERRY_OK);
}

TEST_CASE("sending from a pipe never waits for room, before and after a read that slept in the kernel") {
  const UdsListening listening;
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const plugin::UniqueFd output(ends[0]);
  const plugin::UniqueFd input(ends[1]);
  REQUIRE(::write(input.get(), "bytes", 5) == 5);
  const std::string block(1 << 16, 'x');
  char byte = 0;
  for (const bool reader_slept : {false, true}) {
    RawPair pair = listening.connect();
    const auto* const splice = pair.client.extension<ferry_splice>(FERRY_EXT_SPLICE);
    while (pair.client.write(block, FERRY_NO_WAIT) > 0) {
    }
    if (reader_slept) {
      Sleeper reader([&] { CHECK(pair.client.read(&byte, 1, soon()) == 1); });
      reader.until_asleep();
      CHECK(pair.server.write("y") == 1);
    }
    CHECK(splice->send(pair.client.get(), output.get(), 5) == FERRY_WOULD_BLOCK);
    // And a reader that sleeps now leaves it as it is.
    Sleeper reader([&] { CHECK(pair.client.read(&byte, 1, soon()) == 1); });
    reader.until_asleep();
    CHECK(splice->send(pair.client.get(), output.get(), 5) == FERRY_WOULD_BLOCK);
    CHECK(pair.server.write("y") == 1);
  }
}

TEST_CASE("descriptors that come while bytes go into a pipe are closed") {
  const Fixture fixture;
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const plugin::UniqueFd output(ends[0]);
  const plugin::UniqueFd input(ends[1]);
  const auto* const splice = fixture.pair.server.extension<ferry_splice>(FERRY_EXT_SPLICE);
  const int before = count_fds();
  CHECK(fixture.send({0, 1, 2}, "three") == 5);
  CHECK(splice->receive(fixture.pair.server.get(), input.get(), 64) == 5);
  CHECK(count_fds() == before);
}

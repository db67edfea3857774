// The resolver and the race, with results and look-ups that a test makes up.
#include "tcp_connect.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include <future>

#include "tcp_test_support.hpp"

using namespace ferry::tcp;
using namespace ferry::tcp::test;
using ferry::plugin::Failure;
using ferry::plugin::HostAddress;
using ferry::plugin::Lookup;
using ferry::plugin::max_pending_lookups;
using ferry::plugin::parse_host_address;
using ferry::plugin::pending_lookups;
using ferry::plugin::resolve;

namespace {

SocketAddress literal(const std::string& text) {
  return resolve(parse_host_address(text), Family::any, soon(), nullptr).at(0);
}

Settings defaults() {
  const Values values;
  const ferry_values abi = values.abi();
  return Settings(ferry::plugin::Options(&abi));
}

template <class Body>
Failure failure_of(Body body) {
  try {
    body();
  } catch (const Failure& failure) {
    return failure;
  }
  FAIL("no failure");
  return Failure(FERRY_OK, "");
}

std::vector<std::string> texts(const std::vector<SocketAddress>& addresses) {
  std::vector<std::string> out;
  for (const SocketAddress& address : addresses) out.push_back(address.text());
  return out;
}

// A name server that does not answer until the test lets it.
std::shared_future<void> hanging;
int hanging_lookup(const char*, const char*, const addrinfo*, addrinfo**) {
  const std::shared_future<void> wait = hanging;
  wait.wait();
  return EAI_AGAIN;
}

struct HangingResolver : NoLeak {
  HangingResolver() { hanging = release_.get_future().share(); }
  ~HangingResolver() {
    release_.set_value();
    while (pending_lookups() != 0) std::this_thread::yield();
  }
  std::promise<void> release_;
};

}  // namespace

TEST_CASE("families alternate, beginning with the resolver's first choice") {
  const auto order = interleave<SocketAddress>(
      {literal("[::1]:1"), literal("[::1]:2"), literal("[::1]:3"), literal("127.0.0.1:4"), literal("127.0.0.1:5")});
  CHECK(texts(order) == std::vector<std::string>{"[::1]:1", "127.0.0.1:4", "[::1]:2", "127.0.0.1:5", "[::1]:3"});
  CHECK(interleave<SocketAddress>({}).empty());
}

TEST_CASE_FIXTURE(NoLeak, "an address that swallows packets delays the next by the attempt delay only") {
  Transport transport;
  BlackHole black_hole(transport);
  Listener listener = transport.listen();
  const std::vector<SocketAddress> candidates = {literal(black_hole.address()), literal(listener.address())};
  const std::int64_t start = ferry::plugin::monotonic_ns();
  const Connected winner = connect_first(candidates, defaults(), soon(), nullptr);
  const std::int64_t taken_ms = (ferry::plugin::monotonic_ns() - start) / millisecond_ns;
  CHECK(winner.peer.text() == listener.address());
  CHECK(taken_ms >= attempt_delay_ms);
  CHECK(taken_ms <
        10 * attempt_delay_ms);  // the kernel's own first retry would come after a second, its last after two minutes
}

TEST_CASE_FIXTURE(NoLeak, "an address that refuses delays the next not at all, and the first to answer is kept") {
  Transport transport;
  const ClosedPort closed;
  const std::string& nobody = closed.address();
  Listener first = transport.listen();
  Listener second = transport.listen();
  constexpr int refusals = 8;
  std::vector<SocketAddress> candidates(refusals, literal(nobody));
  candidates.push_back(literal(first.address()));
  candidates.push_back(literal(second.address()));
  const std::int64_t start = ferry::plugin::monotonic_ns();
  const Connected winner = connect_first(candidates, defaults(), soon(), nullptr);
  CHECK(ferry::plugin::monotonic_ns() - start < refusals * attempt_delay_ms * millisecond_ns);
  CHECK(winner.peer.text() == first.address());
  Connection none;
  CHECK(second.accept(none, FERRY_NO_WAIT) == FERRY_WOULD_BLOCK);
}

TEST_CASE_FIXTURE(NoLeak, "an attempt that was overtaken still wins when the later ones fail") {
  Transport transport;
  BlackHole slow(transport);
  const ClosedPort closed;
  const std::string& nobody = closed.address();
  const std::vector<SocketAddress> candidates = {literal(slow.address()), literal(nobody)};
  auto connecting =
      std::async(std::launch::async, [&] { return connect_first(candidates, defaults(), soon(), nullptr); });
  Connection taken;
  while (connecting.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
    (void)slow.listener().accept(taken, FERRY_NO_WAIT);  // makes room for the handshake's next try
  }
  CHECK(connecting.get().peer.text() == slow.address());
}

TEST_CASE_FIXTURE(NoLeak, "when all fail, each attempt is listed with its reason") {
  Transport transport;
  BlackHole black_hole(transport);
  const ClosedPort closed;
  const std::string& nobody = closed.address();
  const std::vector<SocketAddress> refused = {literal(nobody), literal(nobody)};
  const Failure all = failure_of([&] { connect_first(refused, defaults(), soon(), nullptr); });
  CHECK(all.status() == FERRY_REFUSED);
  const std::string text = all.what();
  CHECK(text.find(nobody + ": Connection refused, " + nobody + ": Connection refused") != std::string::npos);

  const std::vector<SocketAddress> mixed = {literal(black_hole.address()), literal(nobody)};
  const Failure late = failure_of([&] { connect_first(mixed, defaults(), in_ms(2 * attempt_delay_ms), nullptr); });
  CHECK(late.status() == FERRY_TIMED_OUT);
  CHECK(std::string(late.what()).find(black_hole.address() + ": no answer yet") != std::string::npos);
  CHECK(std::string(late.what()).find(nobody + ": Connection refused") != std::string::npos);
}

TEST_CASE_FIXTURE(HangingResolver, "a look-up that hangs is given up at the deadline") {
  const HostAddress name = parse_host_address("example.org:7000");
  const Failure late = failure_of([&] { resolve(name, Family::any, in_ms(20), nullptr, hanging_lookup); });
  CHECK(late.status() == FERRY_TIMED_OUT);
  CHECK(pending_lookups() == 1);
  CHECK(failure_of([&] { resolve(name, Family::any, FERRY_NO_WAIT, nullptr, hanging_lookup); }).status() ==
        FERRY_WOULD_BLOCK);
}

TEST_CASE_FIXTURE(HangingResolver, "a look-up that hangs is given up on cancellation") {
  const ferry::plugin::UniqueFd event(eventfd(0, EFD_CLOEXEC));
  const ferry_cancel cancel{sizeof(ferry_cancel), 0, event.get()};
  ferry_status status = FERRY_OK;
  {
    Sleeper looker([&] {
      status = failure_of([&] {
                 resolve(parse_host_address("example.org:7000"), Family::any, FERRY_FOREVER, &cancel, hanging_lookup);
               }).status();
    });
    looker.asleep();
    REQUIRE(eventfd_write(event.get(), 1) == 0);
  }
  CHECK(status == FERRY_INTERRUPTED);
}

TEST_CASE_FIXTURE(HangingResolver, "look-ups that hang cannot pile up without bound") {
  const HostAddress name = parse_host_address("example.org:7000");
  // Once in a while the deadline has passed before a look-up begins.
  for (int i = 0; i < 100 * max_pending_lookups && pending_lookups() < max_pending_lookups; ++i) {
    failure_of([&] { resolve(name, Family::any, in_ms(1), nullptr, hanging_lookup); });
  }
  CHECK(pending_lookups() == max_pending_lookups);
  CHECK(failure_of([&] { resolve(name, Family::any, soon(), nullptr, hanging_lookup); }).status() ==
        FERRY_NO_RESOURCES);
}

TEST_CASE("resolver failures say what to check") {
  const HostAddress name = parse_host_address("example.org:7000");
  const auto fails_with = [&](Lookup lookup) {
    return failure_of([&] { resolve(name, Family::any, soon(), nullptr, lookup); });
  };
  const Failure unknown = fails_with([](const char*, const char*, const addrinfo*, addrinfo**) { return EAI_NONAME; });
  CHECK(unknown.status() == FERRY_NOT_FOUND);
  CHECK(std::string(unknown.what()).find("'example.org'") != std::string::npos);
  const Failure silent = fails_with([](const char*, const char*, const addrinfo*, addrinfo**) { return EAI_AGAIN; });
  CHECK(silent.status() == FERRY_UNREACHABLE);
  const Failure full = fails_with([](const char*, const char*, const addrinfo*, addrinfo**) {
    errno = EMFILE;
    return EAI_SYSTEM;
  });
  CHECK(full.status() == FERRY_NO_RESOURCES);
  CHECK(full.os_error() == EMFILE);
}

namespace {

/// In a network of its own whose only free port is `port`: 0 when a connect to it is refused, 1 when it connects to
/// itself, 2 where no such network can be had.
int connect_to_the_only_port(const std::string& port) {
  if (unshare(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) != 0) return 2;
  const ferry::plugin::UniqueFd control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP;
  if (ioctl(control.get(), SIOCSIFFLAGS, &request) != 0) return 2;
  std::ofstream range("/proc/sys/net/ipv4/ip_local_port_range");
  if (!(range << port << ' ' << port << std::endl)) return 2;
  const std::vector<SocketAddress> only = {literal("127.0.0.1:" + port)};
  for (int round = 0; round < 2; ++round) {  // the second finds the port free again
    try {
      connect_first(only, defaults(), soon(), nullptr);
      return 1;
    } catch (const Failure& failure) {
      if (failure.status() != FERRY_REFUSED) return 3;
    }
  }
  return 0;
}

}  // namespace

TEST_CASE("a connection to itself, which an ephemeral port can meet, is refused and leaves the port free") {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(connect_to_the_only_port("40001"));
  int result = 0;
  REQUIRE(waitpid(child, &result, 0) == child);
  REQUIRE(WIFEXITED(result));
  if (WEXITSTATUS(result) == 2) {
    MESSAGE("skipped, this system gives no network namespace");
    return;
  }
  CHECK(WEXITSTATUS(result) == 0);
}

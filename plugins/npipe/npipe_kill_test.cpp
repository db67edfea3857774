// Processes killed at any moment: while they connect, write, read, wait, listen. Every one must be noticed at once, and
// nothing of it stay. FERRY_KILLS says how many (300).
#include <signal.h>
#include <sys/time.h>

#include <cstdlib>

#include "npipe_test_support.hpp"

using namespace ferry;
using namespace ferry::test;

namespace {

int kills() {
  const char* const wanted = std::getenv("FERRY_KILLS");
  return wanted == nullptr ? 300 : std::atoi(wanted);
}

/// Ends this process some time from now, wherever it is then, as abruptly as SIGKILL would.
void die_in(int microseconds) {
  const itimerval once{{0, 0}, {0, microseconds}};
  ::signal(SIGALRM, SIG_DFL);
  if (::setitimer(ITIMER_REAL, &once, nullptr) != 0) ::_exit(1);
}

enum class Part { reader, writer, idle, echo, count };

/// What a client does until it is killed.
void live(const RawConnection& client, Part part) {
  std::string bytes(10'000, 'b');
  for (;;) {
    if (part == Part::writer && client.write(bytes) < 0) return;
    if (part != Part::writer && client.read(bytes.data(), part == Part::idle ? 0 : bytes.size()) < 0) return;
    if (part == Part::echo && client.write("echo") < 0) return;
  }
}

/// What its server does; ends when the client is noticed to have gone.
std::int64_t serve(const RawConnection& server, Part part) {
  std::string bytes(10'000, 'b');
  std::int64_t size = 0;
  while (size >= 0) {
    size = part == Part::writer || part == Part::echo ? server.read(bytes.data(), bytes.size()) : server.write(bytes);
    if (part == Part::echo && size > 0) size = server.write("more");
  }
  return size;
}

/// Serves one client that is about to die; false when it died before it was there.
bool meet(const RawListener& listener, pid_t client, Part part) {
  for (;;) {
    Said said;
    const RawConnection server = listener.accept(in_ms(2), &said);
    if (server) {
      const std::int64_t end = serve(server, part);
      const bool noticed = end == FERRY_END || end == FERRY_RESET;
      REQUIRE_MESSAGE(noticed, "the death of a client shows as ", end);
      return wait_for(client), true;
    }
    REQUIRE(said.status == FERRY_TIMED_OUT);
    if (::waitpid(client, nullptr, WNOHANG) == client) return false;
  }
}

}  // namespace

TEST_CASE("clients killed at any moment are noticed at once and leave nothing") {
  const Pipes pipes;
  const std::string path = pipes.directory / "p";
  const int before = count_fds();
  int met = 0;
  for (int round = 0; round < kills(); ++round) {
    const auto part = static_cast<Part>(round % static_cast<int>(Part::count));
    const pid_t client = in_child([&] {
      die_in(100 + round * 7919 % 2500);
      const RawConnection connection = pipes.transport.connect(path);
      if (part == Part::echo) (void)connection.write("first");
      live(connection, part);
      return 0;
    });
    if (meet(pipes.listener, client, part)) ++met;
  }
  CHECK(met > kills() / 10);  // else the machine is so slow that this tests little
  Said said;
  (void)pipes.listener.accept(in_ms(1), &said);
  const RawPair last = join(pipes.transport, pipes.listener);
  (void)pipes.listener.accept(FERRY_NO_WAIT, &said);
  CHECK(files_in(pipes.directory.path()) == std::set<std::string>{"p", "p.clients"});
  CHECK(count_fds() <= before + 8);  // of `last` and of the listener's interrupt
}

TEST_CASE("listeners killed at any moment are noticed by their clients, and the next one finds a clean place") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const std::string path = directory / "p";
  for (int round = 0; round < kills() / 10; ++round) {
    const pid_t listener = in_child([&] {
      die_in(100 + round * 7919 % 2500);
      const RawListener mortal = transport.listen(path);
      for (;;) {
        const RawConnection server = mortal.accept();
        live(server, Part::reader);
      }
      return 0;
    });
    std::int64_t status = FERRY_OK;
    int exited = 0;
    while (::waitpid(listener, &exited, WNOHANG) == 0) {
      Said said;
      const RawConnection client = transport.connect(path, {}, &said);
      status = client ? serve(client, Part::reader) : said.status;
      const bool expected = status == FERRY_RESET || status == FERRY_REFUSED || status == FERRY_NOT_FOUND;
      REQUIRE_MESSAGE(expected, said.message);
    }
    { const RawListener next = transport.listen(path); }
    CHECK(files_in(directory.path()).empty());
  }
}

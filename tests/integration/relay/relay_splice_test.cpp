// Pairs of transports relayed with bytes that mostly stay in the kernel: what passes through, how ends and deaths do.
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "ferry/endpoint.hpp"
#include "ferry/reactor.hpp"
#include "ferry/runtime.hpp"
#include "relay/pair.hpp"
#include "support/temporary_directory.hpp"

using namespace ferry;
using host::Pair;

namespace {

constexpr std::size_t large_bytes = 6'000'000;  // more than every buffer on the way
constexpr auto patience = std::chrono::seconds(20);

Deadline soon() { return patience; }

std::string flow(std::size_t size, unsigned seed) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i + seed) * 2654435761u >> 13);
  return text;
}

ConstBytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

Status send(Connection& to, const std::string& text) { return to.write(bytes_of(text), soon()).status; }

/// Everything up to the end, or to what else comes.
std::pair<std::string, Status> receive(Connection& from) {
  std::pair<std::string, Status> received;
  std::vector<std::byte> memory(100'000);
  for (;;) {
    const IoResult got = from.read(memory, soon());
    received.second = got.status;
    if (!got) return received;
    received.first.append(reinterpret_cast<const char*>(memory.data()), got.size);
  }
}

struct Route {
  std::string from;
  std::string to;
};

std::vector<Route> routes() {
  std::vector<Route> all;
  for (const char* from : {"npipe", "uds", "tcp"}) {
    for (const char* to : {"npipe", "uds", "tcp"}) all.push_back({from, to});
  }
  return all;
}

bool takes_splices(const std::string& transport) { return transport != "tcp"; }

/// A client and a server with the relay's pair between them, on a reactor's thread.
class Relayed {
 public:
  explicit Relayed(const Route& route) { join(route, {}); }
  /// `dial` makes the client: a connection of another process, or none of ours.
  Relayed(const Route& route, const std::function<void(const std::string&)>& dial) { join(route, dial); }
  Relayed(const Relayed&) = delete;
  Relayed& operator=(const Relayed&) = delete;
  ~Relayed() {
    reactor_.post([this] {
      if (pair_ && outcome_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) pair_->cut();
      pair_.reset();
      reactor_.stop();
    });
    loop_.join();
  }

  Connection client;
  Connection server;

  Pair::Outcome outcome() {
    REQUIRE(outcome_.wait_for(patience) == std::future_status::ready);
    return outcome_.get();
  }

 private:
  std::string descriptor_of(const std::string& transport, const std::string& name) const {
    if (transport == "tcp") return "tcp://127.0.0.1:0";
    return transport + "://" + (directory_ / (name + "." + transport));
  }

  void join(const Route& route, const std::function<void(const std::string&)>& dial) {
    Listener front = runtime_.listen(descriptor_of(route.from, "front"));
    Listener back = runtime_.listen(descriptor_of(route.to, "back"));
    auto dialling = std::async(std::launch::async, [&] {
      if (dial) return dial(front.descriptor());
      client = runtime_.connect_stream(front.descriptor(), soon());
    });
    Connection accepted = front.accept(soon());
    dialling.get();
    auto connecting =
        std::async(std::launch::async, [&] { return runtime_.connect_stream(back.descriptor(), soon()); });
    server = back.accept(soon());
    Connection target = connecting.get();
    pair_ = std::make_shared<Pair>(reactor_, scratch_, std::move(accepted), std::move(target),
                                   [this](Pair&, const Pair::Outcome& outcome) { done_.set_value(outcome); });
    loop_ = std::thread([this] {
      pair_->start();
      reactor_.run();
    });
  }

  test::TemporaryDirectory directory_;
  Runtime runtime_;
  Reactor reactor_;
  host::Scratch scratch_;
  std::promise<Pair::Outcome> done_;
  std::shared_future<Pair::Outcome> outcome_ = done_.get_future();
  std::shared_ptr<Pair> pair_;
  std::thread loop_;
};

/// A process that is killed when the test says so. It is made before the test has threads.
class Mortal {
 public:
  /// `live` gets the descriptor to connect to.
  template <class Live>
  explicit Mortal(Live live) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    process_ = ::fork();
    REQUIRE(process_ >= 0);
    if (process_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      ::close(ends[1]);
      std::string descriptor;
      for (char letter = 0; ::read(ends[0], &letter, 1) == 1 && letter != '\n';) descriptor += letter;
      live(descriptor);
      for (;;) ::pause();
    }
    ::close(ends[0]);
    told_ = ends[1];
  }
  Mortal(const Mortal&) = delete;
  Mortal& operator=(const Mortal&) = delete;
  ~Mortal() {
    kill();
    ::close(told_);
  }
  void tell(const std::string& descriptor) const {
    const std::string line = descriptor + "\n";
    REQUIRE(::write(told_, line.data(), line.size()) == std::ssize(line));
  }
  void kill() {
    if (process_ < 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(std::exchange(process_, -1), nullptr, 0);
  }

 private:
  pid_t process_ = -1;
  int told_ = -1;
};

}  // namespace

TEST_CASE("large flows pass both ways at once, whole, and stay in the kernel where the taking side allows it") {
  const std::string up = flow(large_bytes, 1);
  const std::string down = flow(large_bytes, 2);
  for (const Route& route : routes()) {
    CAPTURE(route.from);
    CAPTURE(route.to);
    Relayed relayed(route);
    auto talk = [](Connection& end, const std::string& sent) {
      auto sending = std::async(std::launch::async, [&] {
        CHECK(send(end, sent) == Status::ok);
        CHECK(end.shutdown_write() == Status::ok);
      });
      auto received = receive(end);
      sending.get();
      return received;
    };
    auto at_server = std::async(std::launch::async, [&] { return talk(relayed.server, down); });
    CHECK(talk(relayed.client, up) == std::pair(down, Status::end));
    CHECK(at_server.get() == std::pair(up, Status::end));
    const Pair::Outcome outcome = relayed.outcome();
    CHECK(outcome.status == Status::ok);
    CHECK(outcome.to_target.in == up.size());
    CHECK(outcome.to_target.out == up.size());
    CHECK(outcome.to_client.in == down.size());
    CHECK(outcome.to_client.out == down.size());
    CHECK((outcome.to_target.spliced > up.size() / 4) == takes_splices(route.to));
    CHECK((outcome.to_client.spliced > down.size() / 4) == takes_splices(route.from));
  }
}

TEST_CASE("an end of one direction passes after its last byte and leaves the reverse open") {
  const std::string question = flow(large_bytes, 3);
  const std::string answer = flow(large_bytes, 4);
  for (const Route& route : routes()) {
    CAPTURE(route.from);
    CAPTURE(route.to);
    for (const bool target_first : {false, true}) {
      Relayed relayed(route);
      Connection& first = target_first ? relayed.server : relayed.client;
      Connection& second = target_first ? relayed.client : relayed.server;
      auto asking = std::async(std::launch::async, [&] {
        CHECK(send(first, question) == Status::ok);
        CHECK(first.shutdown_write() == Status::ok);
      });
      CHECK(receive(second) == std::pair(question, Status::end));
      asking.get();
      auto answering = std::async(std::launch::async, [&] {
        CHECK(send(second, answer) == Status::ok);
        CHECK(second.close() == Status::ok);
      });
      CHECK(receive(first) == std::pair(answer, Status::end));
      answering.get();
      CHECK(relayed.outcome().status == Status::ok);
    }
  }
}

TEST_CASE("small messages that follow each other are copied") {
  for (const Route& route : routes()) {
    CAPTURE(route.from);
    CAPTURE(route.to);
    Relayed relayed(route);
    std::string echo(64, '\0');
    for (unsigned i = 0; i < 500; ++i) {
      const std::string message = flow(echo.size(), i);
      CHECK(send(relayed.client, message) == Status::ok);
      REQUIRE(relayed.server.read_exactly(std::as_writable_bytes(std::span(echo)), soon()));
      CHECK(echo == message);
    }
    CHECK(relayed.client.close() == Status::ok);
    CHECK(relayed.server.close() == Status::ok);
    const Pair::Outcome outcome = relayed.outcome();
    CHECK(outcome.to_target.out == 500 * echo.size());
    CHECK(outcome.to_target.spliced == 0);
  }
}

TEST_CASE("a reader that pauses stops the writer, and then gets every byte") {
  for (const Route& route : routes()) {
    CAPTURE(route.from);
    CAPTURE(route.to);
    Relayed relayed(route);
    const std::string piece = flow(100'000, 5);
    std::string sent;
    const auto push = [&](Deadline deadline) {
      const IoResult written = relayed.client.write(bytes_of(piece), deadline);
      sent.append(piece, 0, written.size);
      return written.status;
    };
    for (int pause = 0; pause < 3; ++pause) {
      while (push(std::chrono::milliseconds(50)) == Status::ok) REQUIRE(sent.size() < 200'000'000);
      std::string got(sent.size() / 2, '\0');  // of what is under way; then it fills up again
      REQUIRE(relayed.server.read_exactly(std::as_writable_bytes(std::span(got)), soon()));
      CHECK(got == sent.substr(0, got.size()));
      sent.erase(0, got.size());
    }
    auto ending = std::async(std::launch::async, [&] { CHECK(relayed.client.close() == Status::ok); });
    CHECK(receive(relayed.server) == std::pair(sent, Status::end));
    ending.get();
    CHECK(relayed.server.close() == Status::ok);
    const Pair::Outcome outcome = relayed.outcome();
    CHECK(outcome.status == Status::ok);
    CHECK(outcome.to_target.unaccounted() == 0);
  }
}

TEST_CASE("a reset in the middle of a flow is a reset on the other side, whichever side cuts") {
  for (const Route& route : routes()) {
    CAPTURE(route.from);
    CAPTURE(route.to);
    for (const bool by_source : {true, false}) {
      CAPTURE(by_source);
      if ((by_source ? route.from : route.to) != "tcp") continue;  // the others have none
      Relayed relayed(route);
      const std::string piece = flow(200'000, 6);
      std::thread writer([&] {
        for (int i = 0; i < 20; ++i) {
          if (send(relayed.client, piece) != Status::ok) return;
        }
        if (by_source) return;
        while (send(relayed.client, piece) == Status::ok) {
        }
      });
      std::vector<std::byte> memory(3'000'000);
      REQUIRE(relayed.server.read_exactly(memory, soon()));
      if (by_source) {
        auto reading = std::async(std::launch::async, [&] { return receive(relayed.server).second; });
        writer.join();
        relayed.client.abort();
        const Status end = reading.get();
        CHECK(end == (route.to == "tcp" ? Status::reset : Status::end));
      } else {
        relayed.server.abort();
        writer.join();  // because its writes fail
      }
      CHECK(relayed.outcome().status == Status::reset);
    }
  }
}

TEST_CASE("a writer that is killed in the middle of a flow is an end after what it wrote") {
  for (const Route& route : routes()) {
    CAPTURE(route.from);
    CAPTURE(route.to);
    const std::string piece = flow(50'000, 7);
    Mortal client([&](const std::string& descriptor) {
      Runtime runtime;
      Connection connection = runtime.connect_stream(descriptor, soon());
      while (send(connection, piece) == Status::ok) {
      }
    });
    Relayed relayed(route, [&](const std::string& descriptor) { client.tell(descriptor); });
    std::vector<std::byte> memory(5'000'000);
    REQUIRE(relayed.server.read_exactly(memory, soon()));
    client.kill();
    const auto [rest, status] = receive(relayed.server);
    CHECK(status == Status::end);
    CHECK(relayed.server.close() == Status::ok);
    const Pair::Outcome outcome = relayed.outcome();
    CHECK(outcome.to_target.out == memory.size() + rest.size());
    CHECK(outcome.to_target.unaccounted() == 0);
  }
}

TEST_CASE("a reader that is killed in the middle of a flow is noticed, and what it did not get is counted") {
  for (const Route& route : routes()) {
    CAPTURE(route.from);
    CAPTURE(route.to);
    Mortal client([&](const std::string& descriptor) {
      Runtime runtime;
      Connection connection = runtime.connect_stream(descriptor, soon());
      std::vector<std::byte> memory(100'000);
      while (connection.read(memory, soon())) {
      }
    });
    Relayed relayed(route, [&](const std::string& descriptor) { client.tell(descriptor); });
    const std::string piece = flow(50'000, 8);
    std::size_t sent = 0;
    Status status = Status::ok;
    while (status == Status::ok) {
      const IoResult written = relayed.server.write(bytes_of(piece), soon());
      status = written.status;
      sent += written.size;
      if (sent > 5'000'000) client.kill();
      REQUIRE(sent < 200'000'000);
    }
    CHECK(status == Status::reset);
    relayed.server.abort();
    const Pair::Outcome outcome = relayed.outcome();
    CHECK(outcome.to_client.in <= sent);
    CHECK(outcome.to_client.unaccounted() <= host::Scratch::bytes);
  }
}

TEST_CASE("urgent data of a TCP client neither stops nor spins the relay") {
  const std::string part = flow(2'000'000, 9);
  for (const char* to : {"npipe", "uds"}) {
    CAPTURE(to);
    int socket = -1;
    Relayed relayed({"tcp", to}, [&](const std::string& descriptor) {
      const std::string port = descriptor.substr(descriptor.rfind(':') + 1);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port)));
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      REQUIRE(::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    });
    std::thread writer([&] {
      for (const bool last : {false, true}) {
        std::size_t sent = 0;
        while (sent < part.size()) {
          const ssize_t size = ::send(socket, part.data() + sent, part.size() - sent, MSG_NOSIGNAL);
          REQUIRE(size > 0);
          sent += static_cast<std::size_t>(size);
        }
        if (!last) REQUIRE(::send(socket, "!", 1, MSG_OOB | MSG_NOSIGNAL) == 1);
      }
      ::shutdown(socket, SHUT_WR);
    });
    CHECK(receive(relayed.server) == std::pair(part + part, Status::end));
    writer.join();
    CHECK(relayed.server.close() == Status::ok);
    CHECK(relayed.outcome().to_target.spliced > 0);
    ::close(socket);
  }
}

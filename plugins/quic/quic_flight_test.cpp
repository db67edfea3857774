// A handshake's packets: when a server sends what it has before it signs, and that a client looks for what followed.
#include <doctest/doctest.h>

#include <mutex>
#include <thread>

#include "quic_test_port.hpp"

using namespace ferry;
using namespace ferry::quic;
using namespace std::chrono_literals;

namespace {

/// How many datagrams a new client's first packet is answered with.
std::size_t datagrams_of_flight(Port& port) {
  Client client;
  port.receive(port.first_packet(), client.address(), now_ns());
  std::size_t count = 0;
  while (!client.receive().empty()) ++count;
  return count;
}

/// Ends of a path that an engine looks at: what comes is answered once, as by a peer that goes on while we compute.
class Answered final : public PacketHandler {
 public:
  explicit Answered(bool expects_more)
      : expects_more_(expects_more),
        peer_(UdpSocket::bound(ipv4_loopback(), false)),
        socket_(UdpSocket::connected(peer_.local())) {}
  UdpSocket& socket() noexcept { return socket_; }
  void send_from_peer() {
    const std::uint8_t byte = 1;
    const SocketAddress from = peer_.local();
    const SocketAddress to = socket_.local();
    CHECK(peer_.send({&from, &to, 0, 1, {&byte, 1}}) == 1);
  }
  std::vector<std::uint64_t> looks() {
    const std::scoped_lock lock(mutex_);
    return looks_;
  }

  void on_packet(const Packet&, std::uint64_t now) override {
    const std::scoped_lock lock(mutex_);
    if (looks_.empty()) send_from_peer();
    looks_.push_back(now);
  }
  void on_socket_error(int) override {}
  void on_writable() override {}
  bool expects_more() const noexcept override { return expects_more_; }

 private:
  const bool expects_more_;
  UdpSocket peer_, socket_;
  std::mutex mutex_;
  std::vector<std::uint64_t> looks_;  // when each packet was found
};

}  // namespace

TEST_CASE("a server sends what it has before it signs, to the only client whose handshake is under way") {
  Port port("never");
  CHECK(datagrams_of_flight(port) == 2);
  CHECK(datagrams_of_flight(port) == 1);
}

TEST_CASE("a flight with a large certificate is not divided, for it may be no larger than thrice a client's packet") {
  std::vector<std::string> names = {"localhost"};
  while (names.size() < 70) names.push_back("a-name-of-thirty-bytes.example" + std::to_string(names.size()));
  Port port("never", names);
  const std::size_t first = datagrams_of_flight(port);
  CHECK(first > 1);
  CHECK(datagrams_of_flight(port) == first);
}

TEST_CASE("who expects more looks for it before anything is sent, once") {
  for (const bool expects_more : {true, false}) {
    CAPTURE(expects_more);
    Engine engine(quiet_host);
    engine.start();
    Answered ends(expects_more);
    {
      const Engine::Inside inside(engine);
      engine.add_socket(ends.socket(), ends);
    }
    engine.sleep_begins();
    ends.send_from_peer();
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (ends.looks().size() < 2 && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
    engine.sleep_ends();
    const Engine::Inside inside(engine);
    engine.remove_socket(ends.socket());
    const std::vector<std::uint64_t> looks = ends.looks();
    REQUIRE(looks.size() == 2);
    CHECK((looks[0] == looks[1]) == expects_more);
  }
}

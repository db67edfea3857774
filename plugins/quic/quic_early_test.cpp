// Early data (0-RTT): taken, not taken, and on a path that is silent; what may be sent with it, and never twice.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "ferry/identity.hpp"
#include "ferry/sdk/unique_fd.hpp"
#include "ferry/streams.hpp"
#include "quic_test_world.hpp"

using namespace ferry;
using namespace ferry::quic_test;

namespace {

constexpr auto limit = 20s;
using Bytes = std::vector<std::byte>;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  out.sin_port = htons(port);
  return out;
}

std::uint16_t port_of(const Listener& listener) {
  const std::string descriptor = listener.descriptor();
  const std::string address = descriptor.substr(0, descriptor.find('?'));
  return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

/// The path between clients and a server: either direction can fall silent, and the server be replaced.
class Path {
 public:
  explicit Path(const Listener& server)
      : to_clients_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), server_port_(port_of(server)) {
    sockaddr_in here = loopback(0);
    socklen_t size = sizeof(here);
    REQUIRE(::bind(to_clients_.get(), reinterpret_cast<sockaddr*>(&here), size) == 0);
    REQUIRE(::getsockname(to_clients_.get(), reinterpret_cast<sockaddr*>(&here), &size) == 0);
    port_ = ntohs(here.sin_port);
    thread_ = std::thread([this] { run(); });
  }
  ~Path() {
    stops_ = true;
    thread_.join();
  }
  Path(const Path&) = delete;
  Path& operator=(const Path&) = delete;

  std::string descriptor() const { return "quic://127.0.0.1:" + std::to_string(port_); }
  void lead_to(const Listener& server) { server_port_ = port_of(server); }
  void carry(bool to_server, bool to_client) {
    to_server_ = to_server;
    to_client_ = to_client;
  }
  /// What clients have sent of handshakes since the last call, carried or not.
  std::vector<Bytes> take_sent() {
    const std::scoped_lock lock(mutex_);
    return std::exchange(sent_, {});
  }
  std::size_t sent() {
    const std::scoped_lock lock(mutex_);
    return sent_.size();
  }

 private:
  /// Each client is another at the server as well.
  struct Way {
    sockaddr_in client;
    plugin::UniqueFd to_server;
  };

  void run() {
    std::vector<Way> ways;
    while (!stops_) {
      std::vector<pollfd> waits = {{to_clients_.get(), POLLIN, 0}};
      for (const Way& way : ways) waits.push_back({way.to_server.get(), POLLIN, 0});
      if (::poll(waits.data(), waits.size(), 20) <= 0) continue;
      for (std::size_t i = 1; i < waits.size(); ++i) {
        if (waits[i].revents != 0) carry_to_client(ways[i - 1]);
      }
      if (waits[0].revents != 0) carry_to_server(ways);
    }
  }

  void carry_to_server(std::vector<Way>& ways) {
    sockaddr_in from{};
    socklen_t size = sizeof(from);
    const ssize_t got =
        ::recvfrom(to_clients_.get(), buffer_.data(), buffer_.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got <= 0) return;
    const bool is_handshake = (buffer_[0] & std::byte{0x80}) != std::byte{0};
    // GnuTLS counts a ticket's age in milliseconds, and takes no early data when it is older at the client by rounding.
    if (is_handshake) std::this_thread::sleep_for(2ms);
    const auto is_from = [&](const Way& way) { return way.client.sin_port == from.sin_port; };
    auto way = std::find_if(ways.begin(), ways.end(), is_from);
    if (way == ways.end()) {
      ways.push_back({from, plugin::UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))});
      way = ways.end() - 1;
    }
    const sockaddr_in server = loopback(server_port_);
    if (to_server_) {
      (void)!::sendto(way->to_server.get(), buffer_.data(), static_cast<std::size_t>(got), 0,
                      reinterpret_cast<const sockaddr*>(&server), sizeof(server));
    }
    if (!is_handshake) return;
    const std::scoped_lock lock(mutex_);
    sent_.emplace_back(buffer_.begin(), buffer_.begin() + got);
  }

  void carry_to_client(const Way& way) {
    const ssize_t got = ::recv(way.to_server.get(), buffer_.data(), buffer_.size(), 0);
    if (got < 0 || !to_client_) return;
    (void)!::sendto(to_clients_.get(), buffer_.data(), static_cast<std::size_t>(got), 0,
                    reinterpret_cast<const sockaddr*>(&way.client), sizeof(way.client));
  }

  plugin::UniqueFd to_clients_;
  std::uint16_t port_ = 0;
  std::atomic<std::uint16_t> server_port_;
  std::atomic<bool> stops_{false}, to_server_{true}, to_client_{true};
  std::mutex mutex_;
  std::vector<Bytes> sent_;
  std::array<std::byte, 65536> buffer_;  // the thread's
  std::thread thread_;
};

Bytes pattern(std::size_t size) {
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i * 7 + i / 251);
  return out;
}

Bytes read_exactly(Connection& connection, std::size_t size) {
  Bytes out(size);
  out.resize(connection.read_exactly(out, limit).size);
  return out;
}

const std::string early = "&early_data=true";

/// A connection that ends in order, for the ticket.
Identity visit(World& world, Path& path, Listener& listener, const std::string& options = early) {
  auto connecting =
      std::async(std::launch::async, [&] { return world.connect_from_elsewhere(path.descriptor(), options); });
  Connection client = connecting.get();
  const Bytes sent = pattern(10);
  CHECK(client.write(sent, limit).status == Status::ok);
  Connection server = listener.accept(limit);
  CHECK(read_exactly(server, sent.size()) == sent);
  CHECK(server.write(sent, limit).status == Status::ok);
  CHECK(read_exactly(client, sent.size()) == sent);  // the ticket comes with, or before, the server's first bytes
  const Identity out = identity_of(client);
  CHECK(identity_of(server).early_data == out.early_data);
  auto closing = std::async(std::launch::async, [&] { return client.close(); });
  CHECK(read_exactly(server, 1).empty());
  (void)server.close();
  CHECK(closing.get() == Status::ok);
  return out;
}

/// Both directions, a megabyte each, after `sent` has been written.
void expect_intact(Connection& client, Connection& server, const Bytes& sent) {
  const Bytes answer = pattern(1u << 20);
  auto answering = std::async(std::launch::async, [&] {
    const Bytes got = read_exactly(server, sent.size());
    CHECK(server.write(answer, limit).status == Status::ok);
    return got;
  });
  CHECK(read_exactly(client, answer.size()) == answer);
  CHECK(answering.get() == sent);
}

}  // namespace

TEST_CASE("early data is sent and taken where both ends ask for it, and nowhere else") {
  World world;
  for (const bool at_server : {false, true}) {
    Listener listener = world.listen(at_server ? early : "");
    Path path(listener);
    for (const bool at_client : {false, true}) {
      CAPTURE(at_server);
      CAPTURE(at_client);
      const std::string options = at_client ? early : "";
      (void)visit(world, path, listener, options);
      const Identity server = visit(world, path, listener, options);
      CHECK(server.resumed);
      CHECK(server.early_data == (at_server && at_client));
      CHECK_FALSE(server.fingerprint.empty());
    }
  }
}

TEST_CASE("what is written before the server has answered comes with the first packets, and is answered at once") {
  World world;
  Listener listener = world.listen(early);
  Path path(listener);
  (void)visit(world, path, listener);

  path.carry(true, false);
  Connection client = world.connect_from_elsewhere(path.descriptor(), early);
  const Bytes sent = pattern(5000);
  CHECK(client.write(sent, limit).status == Status::ok);
  Connection server = listener.accept(limit);
  CHECK(read_exactly(server, sent.size()) == sent);
  CHECK(identity_of(server).early_data);
  CHECK(identity_of(server).protocol == "ferry");
  CHECK(identity_of(client).protocol.empty());  // nothing is proven yet
  CHECK(identity_of(client).certificate.empty());
  CHECK(server.write(sent, limit).status == Status::ok);
  path.carry(true, true);
  CHECK(read_exactly(client, sent.size()) == sent);
  CHECK(identity_of(client).early_data);
  CHECK(identity_of(client).resumed);
  expect_intact(client, server, {});
}

TEST_CASE("early data that a server does not take is sent again, and nothing is lost") {
  World world;
  Listener listener = world.listen(early);
  Path path(listener);
  Runtime restarted(World::config());
  const auto without = [&](const char* what, auto&& listen) {
    CAPTURE(what);
    path.lead_to(listener);
    (void)visit(world, path, listener);
    Listener other = listen();
    path.lead_to(other);
    Connection client = world.connect_from_elsewhere(path.descriptor(), early);
    const Bytes sent = pattern(3u << 20);
    auto writing = std::async(std::launch::async, [&] { return client.write(sent, limit).status; });
    Connection server = other.accept(limit);
    expect_intact(client, server, sent);
    CHECK(writing.get() == Status::ok);
    CHECK_FALSE(identity_of(client).early_data);
    CHECK_FALSE(identity_of(server).early_data);
    CHECK_FALSE(identity_of(client).fingerprint.empty());
  };
  without("restarted, with another ticket key", [&] { return restarted.listen(world.listening(early)); });
  without("option off", [&] { return world.listen(); });
  without("other limits than those that the ticket is for", [&] { return world.listen(early + "&rcvbuf=64KiB"); });
}

TEST_CASE("early data comes through a Retry") {
  World world;
  Listener listener = world.listen(early + "&retry=always");
  Path path(listener);
  (void)visit(world, path, listener);
  Connection client = world.connect_from_elsewhere(path.descriptor(), early);
  const Bytes sent = pattern(100'000);
  auto writing = std::async(std::launch::async, [&] { return client.write(sent, limit).status; });
  Connection server = listener.accept(limit);
  expect_intact(client, server, sent);
  CHECK(writing.get() == Status::ok);
  CHECK(identity_of(client).early_data);
}

TEST_CASE("with a silent server, a client that sends early data and keeps alive waits, and ends as any other") {
  World world;
  Listener listener = world.listen(early);
  Path path(listener);
  const std::string options = early + "&keepalive=20ms&handshake_timeout=1500ms";
  (void)visit(world, path, listener, options);
  path.carry(false, false);
  Connection client = world.connect_from_elsewhere(path.descriptor(), options);
  CHECK(client.write(pattern(1000), limit).status == Status::ok);
  std::byte byte{};
  CHECK(client.read({&byte, 1}, limit).status == Status::reset);
}

TEST_CASE("a closed port is no connection, although there is a ticket") {
  World world;
  std::string descriptor;
  {
    Listener listener = world.listen(early);
    descriptor = listener.descriptor();
    for (int visit = 0; visit < 2; ++visit) {
      Connection client = world.connect_from_elsewhere(descriptor, early);
      CHECK(client.write(pattern(1), limit).status == Status::ok);
      Connection server = listener.accept(limit);
      CHECK(read_exactly(server, 1) == pattern(1));
      CHECK(server.write(pattern(1), limit).status == Status::ok);
      CHECK(read_exactly(client, 1) == pattern(1));
      client.abort();
    }
  }
  Status status = Status::ok;
  try {
    (void)world.connect_from_elsewhere(descriptor, early);
  } catch (const Error& error) {
    status = error.status();
  }
  CHECK(status == Status::refused);
}

TEST_CASE("streams and datagrams wait for the handshake that early data does not wait for") {
  World world;
  Listener listener = world.listen(early);
  Path path(listener);
  const std::string options = early + "&streams=10&keepalive=10ms";
  (void)visit(world, path, listener, options);
  for (const bool taken : {true, false}) {
    CAPTURE(taken);
    Listener other = world.listen();
    if (!taken) path.lead_to(other);
    path.carry(false, false);
    Connection client = world.connect_from_elsewhere(path.descriptor(), options);
    Listener streams = listen_for_streams(client);
    Connection datagrams = open_datagrams(client);
    CHECK(datagrams.write(pattern(100), limit).status == Status::ok);
    auto opening = std::async(std::launch::async, [&] { return open_stream(client, limit); });
    CHECK(client.write(pattern(1), limit).status == Status::ok);
    CHECK(opening.wait_for(100ms) == std::future_status::timeout);
    path.carry(true, true);
    Connection server = (taken ? listener : other).accept(limit);
    CHECK(read_exactly(server, 1) == pattern(1));
    Listener at_server = listen_for_streams(server);
    Connection here = opening.get();
    Connection there = at_server.accept(limit);
    expect_intact(here, there, {});
    there = open_stream(server, limit);
    here = streams.accept(limit);
    expect_intact(here, there, {});
    Bytes got(1000);
    CHECK(open_datagrams(server).read(got, limit).size == 100);
    if (taken) (void)visit(world, path, listener, options);
  }
}

TEST_CASE("a reset and a stop before the handshake is through reach a server that takes no early data") {
  World world;
  Listener listener = world.listen(early);
  Path path(listener);
  (void)visit(world, path, listener);
  Listener other = world.listen();
  path.lead_to(other);
  path.carry(false, true);
  Connection client = world.connect_from_elsewhere(path.descriptor(), early);
  CHECK(client.write(pattern(100), limit).status == Status::ok);
  CHECK(reset_stream(client, 7) == Status::ok);
  CHECK(stop_stream(client, 8) == Status::ok);
  path.carry(true, true);
  Connection server = other.accept(limit);
  Bytes got(1000);
  Status status = Status::ok;
  while (status == Status::ok) status = server.read(got, limit).status;
  CHECK(status == Status::reset);
  CHECK(peer_code(server, FERRY_READ) == 7);
}

TEST_CASE("first packets that are lost are sent again as servers want them, however much early data there is") {
  World world;
  Listener listener = world.listen(early);
  Path path(listener);
  (void)visit(world, path, listener);
  path.carry(false, false);
  (void)path.take_sent();
  Connection client = world.connect_from_elsewhere(path.descriptor(), early);
  const Bytes sent = pattern(200'000);
  auto writing = std::async(std::launch::async, [&] { return client.write(sent, limit).status; });
  std::size_t initials = 0;
  while (initials < 2) {
    std::this_thread::sleep_for(10ms);
    for (const Bytes& packet : path.take_sent()) {
      if ((packet[0] & std::byte{0xf0}) != std::byte{0xc0}) continue;
      ++initials;
      CHECK(packet.size() >= 1200);  // RFC 9000, section 14.1
    }
  }
  path.carry(true, true);
  Connection server = listener.accept(limit);
  expect_intact(client, server, sent);
  CHECK(writing.get() == Status::ok);
}

TEST_CASE("early data is taken once, also from who sends the same packets again") {
  World world;
  Listener listener = world.listen(early + "&handshake_timeout=300ms");
  Path path(listener);
  (void)visit(world, path, listener);
  path.carry(false, false);
  (void)path.take_sent();
  Connection client = world.connect_from_elsewhere(path.descriptor(), early);
  CHECK(client.write(pattern(100), limit).status == Status::ok);
  while (path.sent() < 2) std::this_thread::sleep_for(1ms);
  client.abort();
  const std::vector<Bytes> packets = path.take_sent();
  const auto replay = [&] {
    const plugin::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const sockaddr_in server = loopback(port_of(listener));
    for (std::size_t i = 0; i < 2; ++i) {  // without the end
      (void)!::sendto(socket.get(), packets[i].data(), packets[i].size(), 0, reinterpret_cast<const sockaddr*>(&server),
                      sizeof(server));
    }
  };
  replay();
  {
    Connection server = listener.accept(limit);
    CHECK(read_exactly(server, 100) == pattern(100));
    std::byte byte{};
    CHECK(server.read({&byte, 1}, limit).status == Status::reset);  // its handshake never ends
  }
  replay();
  Connection server;
  CHECK(listener.try_accept(server, 600ms) == Status::timed_out);
}

// A listening port whose packets come from the test, and clients' addresses that its answers go to.
#pragma once

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "keygen/self_signed.hpp"
#include "quic_acceptor.hpp"
#include "quic_test_address.hpp"
#include "quic_test_engine.hpp"
#include "support/temporary_directory.hpp"

namespace ferry::quic {

using Bytes = std::vector<std::uint8_t>;

/// A UDP port of a client, at which answers are there as soon as they are sent.
class Client {
 public:
  Client() : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), address_(ipv4_loopback()) {
    REQUIRE(::bind(fd_.get(), address_.get(), address_.size) == 0);
    REQUIRE(::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address_.storage), &address_.size) == 0);
  }
  const SocketAddress& address() const noexcept { return address_; }
  /// The next datagram; empty: there is none.
  Bytes receive() {
    Bytes out(2048);
    const ssize_t size = ::recv(fd_.get(), out.data(), out.size(), 0);
    out.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return out;
  }
  bool is_asked_to_retry() {
    bool out = false;
    for (Bytes answer = receive(); !answer.empty(); answer = receive()) out = out || (answer[0] & 0xf0) == 0xf0;
    return out;
  }

 private:
  plugin::UniqueFd fd_;
  SocketAddress address_;
};

class Port {
 public:
  explicit Port(const char* retry, const std::vector<std::string>& names = {"localhost"}) : engine_(quiet_host) {
    const auto pair = host::make_self_signed(names, std::chrono::hours(24));
    const std::string crt = (directory_.path() / "crt").string();
    const std::string key = (directory_.path() / "key").string();
    std::ofstream(crt) << pair.certificate_pem;
    std::ofstream(key) << pair.key_pem;
    server_ = settings_of({{option_cert, crt.c_str()}, {option_key, key.c_str()}, {option_retry, retry}});
    client_ = settings_of({{option_ca, crt.c_str()}});
    engine_.start();
    acceptor_ = std::make_shared<Acceptor>(engine_, UdpSocket::bound(ipv4_loopback(), false));
    const Engine::Inside inside(engine_);
    acceptor_->open(server_, std::make_shared<Credentials>(*server_, true));
  }
  ~Port() {
    const Engine::Inside inside(engine_);
    for (const auto& session : clients_) session->handle_closed(session->primary().get(), true);
    for (Session* session : engine_.sessions_of(*acceptor_)) session->cut();
    acceptor_->close();
  }

  void receive(const Bytes& packet, const SocketAddress& from, std::uint64_t at) {
    const Engine::Inside inside(engine_);
    acceptor_->on_packet({acceptor_->socket().local(), from, 0, packet}, at);
  }
  std::size_t sessions() {
    const Engine::Inside inside(engine_);
    return engine_.sessions_of(*acceptor_).size();
  }
  /// A true client's first packet.
  Bytes first_packet() {
    Client server;
    const auto session = std::make_shared<Session>(engine_, client_, false);
    const Engine::Inside inside(engine_);
    session->connect(server.address(), "localhost", std::make_shared<Credentials>(*client_, false));
    session->handle_made();
    clients_.push_back(session);
    return server.receive();
  }

 private:
  test::TemporaryDirectory directory_;
  Engine engine_;
  std::shared_ptr<const Settings> server_, client_;
  std::shared_ptr<Acceptor> acceptor_;
  std::vector<std::shared_ptr<Session>> clients_;
};

}  // namespace ferry::quic

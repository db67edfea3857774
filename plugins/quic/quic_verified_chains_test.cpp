// What is remembered of a peer's certificates: which chain and name a verdict is for, how long it stands, and that a
// stapled OCSP response is heard each time.
#include "quic_verified_chains.hpp"

#include <doctest/doctest.h>

#include <fstream>

#include "keygen/self_signed.hpp"
#include "quic_acceptor.hpp"
#include "quic_connect.hpp"
#include "quic_test_address.hpp"
#include "quic_test_engine.hpp"
#include "support/temporary_directory.hpp"

using namespace ferry;
using namespace ferry::quic;

namespace {

Sha256 digest(const std::string& name, std::vector<std::string> certificates) {
  std::vector<gnutls_datum_t> chain;
  for (std::string& one : certificates) {
    chain.push_back({reinterpret_cast<unsigned char*>(one.data()), static_cast<unsigned>(one.size())});
  }
  return digest_of_chain(name, chain).value();
}

Sha256 numbered(std::size_t number) { return digest(std::to_string(number), {}); }

/// A listener and a client of one engine, and what either of them knows of certificates.
class Ends {
 public:
  Ends() : engine_(quiet_host) {
    const auto pair = host::make_self_signed({"localhost"}, std::chrono::hours(24));
    const std::string crt = (directory_.path() / "crt").string();
    const std::string key = (directory_.path() / "key").string();
    std::ofstream(crt) << pair.certificate_pem;
    std::ofstream(key) << pair.key_pem;
    const auto listening =
        settings_of({{option_cert, crt.c_str()}, {option_key, key.c_str()}, {option_retry, "never"}});
    connecting_ = settings_of({{option_ca, crt.c_str()}});
    server_ = std::make_shared<Credentials>(*listening, true);
    client_ = std::make_shared<Credentials>(*connecting_, false);
    engine_.start();
    acceptor_ = std::make_shared<Acceptor>(engine_, UdpSocket::bound(ipv4_loopback(), false));
    const Engine::Inside inside(engine_);
    acceptor_->open(listening, server_);
  }
  ~Ends() {
    const Engine::Inside inside(engine_);
    acceptor_->close();
    for (Session* session : engine_.sessions_of(*acceptor_)) session->cut();
  }

  const Credentials& server() const noexcept { return *server_; }
  /// FERRY_OK, or why not.
  ferry_status connect() {
    const std::vector<SocketAddress> candidates = {acceptor_->socket().local()};
    try {
      const auto session = connect_first(engine_, candidates, "localhost", connecting_, client_,
                                         plugin::monotonic_ns() + 10'000'000'000, nullptr);
      const Engine::Inside inside(engine_);
      session->handle_closed(session->primary().get(), true);
      return FERRY_OK;
    } catch (const plugin::Failure& failure) {
      return failure.status();
    }
  }

 private:
  test::TemporaryDirectory directory_;
  Engine engine_;
  std::shared_ptr<const Settings> connecting_;
  std::shared_ptr<const Credentials> server_, client_;
  std::shared_ptr<Acceptor> acceptor_;
};

}  // namespace

TEST_CASE("a verdict is for one name and the very certificates, in their order") {
  const Sha256 known = digest("localhost", {"leaf", "ca"});
  CHECK(known == digest("localhost", {"leaf", "ca"}));
  CHECK(known != digest("localhosu", {"leaf", "ca"}));
  CHECK(known != digest("", {"leaf", "ca"}));
  CHECK(known != digest("localhost", {"leag", "ca"}));
  CHECK(known != digest("localhost", {"leaf", "cb"}));
  CHECK(known != digest("localhost", {"leaf"}));
  CHECK(known != digest("localhost", {"leaf", "ca", ""}));
  CHECK(known != digest("localhost", {"ca", "leaf"}));
  CHECK(known != digest("localhost", {"lea", "fca"}));
  CHECK(known != digest("localhostleaf", {"", "ca"}));
}

TEST_CASE("a verdict stands for a minute, until a certificate expires, and not before it was reached") {
  constexpr std::time_t now = 1'000'000;
  VerifiedChains chains;
  const Sha256 known = numbered(1);
  CHECK_FALSE(chains.has(known, now));
  chains.add(known, now, now + 1'000);
  CHECK(chains.has(known, now));
  CHECK(chains.has(known, now + 60));
  CHECK_FALSE(chains.has(known, now + 61));
  CHECK_FALSE(chains.has(known, now - 1));
  CHECK_FALSE(chains.has(numbered(2), now));

  const Sha256 expires = numbered(3);
  chains.add(expires, now, now + 10);
  CHECK(chains.has(expires, now + 10));
  CHECK_FALSE(chains.has(expires, now + 11));
}

TEST_CASE("so many verdicts are kept, the newest") {
  constexpr std::time_t now = 1'000'000;
  constexpr std::size_t added = VerifiedChains::max_entries + 10;
  VerifiedChains chains;
  for (std::size_t i = 0; i < added; ++i) chains.add(numbered(i), now, now + 10);
  for (std::size_t i = 0; i < added; ++i) CHECK(chains.has(numbered(i), now) == (i >= 10));
}

TEST_CASE("a stapled OCSP response is heard, also where the chain is known") {
  Ends ends;
  CHECK(ends.connect() == FERRY_OK);
  CHECK(ends.connect() == FERRY_OK);
  gnutls_certificate_set_ocsp_status_request_function(
      ends.server().get(),
      [](gnutls_session_t, void*, gnutls_datum_t* response) {
        constexpr std::string_view damaged = "no OCSP response";
        response->data = static_cast<unsigned char*>(gnutls_malloc(damaged.size()));
        if (response->data == nullptr) return GNUTLS_E_MEMORY_ERROR;
        std::copy(damaged.begin(), damaged.end(), response->data);
        response->size = static_cast<unsigned>(damaged.size());
        return 0;
      },
      nullptr);
  CHECK(ends.connect() == FERRY_AUTHENTICATION);
}

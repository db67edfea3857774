// What is remembered of a peer's certificates: which chain and name a verdict is for, how long it stands, and that a
// stapled OCSP response is heard each time.
#include "quic_verified_chains.hpp"

#include <doctest/doctest.h>
#include <gnutls/x509.h>

#include <fstream>
#include <memory>

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

struct Release {
  void operator()(gnutls_x509_crt_t certificate) const noexcept { gnutls_x509_crt_deinit(certificate); }
  void operator()(gnutls_x509_privkey_t key) const noexcept { gnutls_x509_privkey_deinit(key); }
};
using Certificate = std::unique_ptr<gnutls_x509_crt_int, Release>;
using Key = std::unique_ptr<gnutls_x509_privkey_int, Release>;

Key make_key() {
  gnutls_x509_privkey_t key = nullptr;
  REQUIRE(gnutls_x509_privkey_init(&key) == 0);
  Key out(key);
  REQUIRE(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0);
  return out;
}

/// @param issuer  signs it with its key; null: it signs itself
Certificate make_certificate(std::string_view name, gnutls_x509_privkey_t key, std::time_t expiry,
                             gnutls_x509_crt_t issuer, gnutls_x509_privkey_t issuers_key) {
  gnutls_x509_crt_t made = nullptr;
  REQUIRE(gnutls_x509_crt_init(&made) == 0);
  Certificate out(made);
  const auto size = static_cast<unsigned>(name.size());
  const std::uint8_t serial = issuer == nullptr ? 1 : 2;
  REQUIRE(gnutls_x509_crt_set_version(made, 3) == 0);
  REQUIRE(gnutls_x509_crt_set_serial(made, &serial, 1) == 0);
  REQUIRE(gnutls_x509_crt_set_dn_by_oid(made, GNUTLS_OID_X520_COMMON_NAME, 0, name.data(), size) == 0);
  REQUIRE(gnutls_x509_crt_set_subject_alt_name(made, GNUTLS_SAN_DNSNAME, name.data(), size, GNUTLS_FSAN_SET) == 0);
  REQUIRE(gnutls_x509_crt_set_basic_constraints(made, issuer == nullptr ? 1 : 0, -1) == 0);
  REQUIRE(gnutls_x509_crt_set_activation_time(made, 0) == 0);
  REQUIRE(gnutls_x509_crt_set_expiration_time(made, expiry) == 0);
  REQUIRE(gnutls_x509_crt_set_key(made, key) == 0);
  REQUIRE(gnutls_x509_crt_sign2(made, issuer == nullptr ? made : issuer, issuers_key, GNUTLS_DIG_SHA256, 0) == 0);
  return out;
}

template <class Object>
std::string exported(int (*function)(Object, gnutls_x509_crt_fmt_t, gnutls_datum_t*), Object object,
                     gnutls_x509_crt_fmt_t format = GNUTLS_X509_FMT_PEM) {
  gnutls_datum_t text{};
  REQUIRE(function(object, format, &text) == 0);
  std::string out(reinterpret_cast<const char*>(text.data), text.size);
  gnutls_free(text.data);
  return out;
}

/// A listener and a client of one engine, and what either of them knows of certificates.
class Ends {
 public:
  Ends() : Ends(host::make_self_signed({"localhost"}, std::chrono::hours(24))) {}
  explicit Ends(const host::SelfSigned& pair) : Ends(pair.certificate_pem, pair.key_pem, pair.certificate_pem) {}
  Ends(const std::string& certificate_pem, const std::string& key_pem, const std::string& ca_pem)
      : engine_(quiet_host) {
    const std::string crt = file("crt", certificate_pem);
    const std::string key = file("key", key_pem);
    const std::string ca = file("ca", ca_pem);
    const auto listening =
        settings_of({{option_cert, crt.c_str()}, {option_key, key.c_str()}, {option_retry, "never"}});
    connecting_ = settings_of({{option_ca, ca.c_str()}});
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
  /// Whether the client would take the chain for valid at that time without another look.
  bool client_knows(const Sha256& digest, std::time_t at) {
    const Engine::Inside inside(engine_);
    return client_->verified_chains().has(digest, at);
  }
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
  std::string file(const char* name, const std::string& content) const {
    const std::string path = (directory_.path() / name).string();
    std::ofstream(path) << content;
    return path;
  }

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

TEST_CASE("a verdict stands no longer than the CA that it rests on, though the peer does not send it") {
  const std::time_t expiry = std::time(nullptr) + VerifiedChains::lifetime_s - 20;
  const Key ca_key = make_key();
  const Certificate ca = make_certificate("ca", ca_key.get(), expiry, nullptr, ca_key.get());
  const Key key = make_key();
  const Certificate leaf = make_certificate("localhost", key.get(), expiry + 86'400, ca.get(), ca_key.get());
  Ends ends(exported(gnutls_x509_crt_export2, leaf.get()), exported(gnutls_x509_privkey_export2, key.get()),
            exported(gnutls_x509_crt_export2, ca.get()));
  REQUIRE(ends.connect() == FERRY_OK);
  const Sha256 known = digest("localhost", {exported(gnutls_x509_crt_export2, leaf.get(), GNUTLS_X509_FMT_DER)});
  CHECK(ends.client_knows(known, expiry));
  CHECK_FALSE(ends.client_knows(known, expiry + 1));
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

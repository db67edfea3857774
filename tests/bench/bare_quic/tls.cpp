#include "tls.hpp"

#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <array>
#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>

#include "keygen/self_signed.hpp"

namespace ferry::bare_quic {
namespace {

constexpr const char* priority =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:-GROUP-ALL:+GROUP-SECP256R1:"
    "%DISABLE_TLS13_COMPAT_MODE";

void check(int result, const char* call) {
  if (result < 0) throw std::runtime_error(std::string(call) + ": " + gnutls_strerror(result));
}

gnutls_datum_t datum(const std::string& text) {
  return {reinterpret_cast<unsigned char*>(const_cast<char*>(text.data())), static_cast<unsigned>(text.size())};
}

}  // namespace

Credentials::Credentials(bool server, std::string alpn) : server_(server), alpn_(std::move(alpn)) {
  check(gnutls_certificate_allocate_credentials(&credentials_), "gnutls_certificate_allocate_credentials");
  if (!server_) return;
  const host::SelfSigned pair = host::make_self_signed({"localhost"}, std::chrono::hours(24));
  const gnutls_datum_t certificate = datum(pair.certificate_pem);
  const gnutls_datum_t key = datum(pair.key_pem);
  check(gnutls_certificate_set_x509_key_mem(credentials_, &certificate, &key, GNUTLS_X509_FMT_PEM),
        "gnutls_certificate_set_x509_key_mem");
}

Credentials::~Credentials() { gnutls_certificate_free_credentials(credentials_); }

Session Credentials::make_session(ngtcp2_crypto_conn_ref& reference) const {
  gnutls_session_t raw = nullptr;
  const unsigned role = server_ ? GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET : GNUTLS_CLIENT;
  check(gnutls_init(&raw, role | GNUTLS_NO_SIGNAL), "gnutls_init");
  Session session(raw);
  check(gnutls_priority_set_direct(raw, priority, nullptr), "gnutls_priority_set_direct");
  check(gnutls_credentials_set(raw, GNUTLS_CRD_CERTIFICATE, credentials_), "gnutls_credentials_set");
  const int configured =
      server_ ? ngtcp2_crypto_gnutls_configure_server_session(raw) : ngtcp2_crypto_gnutls_configure_client_session(raw);
  if (configured != 0) throw std::runtime_error("ngtcp2_crypto_gnutls_configure_session failed");
  gnutls_session_set_ptr(raw, &reference);
  const gnutls_datum_t alpn = datum(alpn_);
  check(gnutls_alpn_set_protocols(raw, &alpn, 1, GNUTLS_ALPN_MANDATORY), "gnutls_alpn_set_protocols");
  return session;
}

}  // namespace ferry::bare_quic

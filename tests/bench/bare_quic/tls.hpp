// TLS 1.3 for the bare loop: one self-signed server that its client does not check, AES-128-GCM and P-256.
#pragma once

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <memory>
#include <string>

namespace ferry::bare_quic {

struct SessionDeleter {
  void operator()(gnutls_session_t session) const noexcept { gnutls_deinit(session); }
};
using Session = std::unique_ptr<gnutls_session_int, SessionDeleter>;

/// One process's certificate, or none: made once, shared by its sessions.
class Credentials {
 public:
  Credentials(bool server, std::string alpn);
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;
  ~Credentials();

  /// A session that speaks through ngtcp2's crypto helper to the connection that `reference` leads to; it must outlive
  /// the session.
  Session make_session(ngtcp2_crypto_conn_ref& reference) const;

 private:
  bool server_;
  std::string alpn_;
  gnutls_certificate_credentials_t credentials_ = nullptr;
};

}  // namespace ferry::bare_quic

// TLS 1.3 of GnuTLS as QUIC uses it: who we are, whom we trust, and one session.
//
// Credentials are read from files once and shared by every session made with them. A session decides by itself whether
// the peer is whom it must be, and keeps the reason in words when it is not: a TLS alert alone cannot tell a wrong host
// from a wrong pin.
#pragma once

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2_crypto.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quic_options.hpp"
#include "quic_replay.hpp"
#include "quic_tickets.hpp"
#include "quic_verified_chains.hpp"

namespace ferry::quic {

/// Alerts that say why a certificate was refused (RFC 8446, section 6.2).
enum class Alert : std::uint8_t {
  none = 0,
  bad_certificate = 42,
  certificate_expired = 45,
  certificate_unknown = 46,
  unknown_ca = 48,
  internal_error = 80,
  certificate_required = 116,
  no_application_protocol = 120
};

/// What the text of an alert that the peer sent means to us.
std::string describe_alert(std::uint8_t alert, bool from_server);
/// The same for an alert that we sent, where it was not verify_peer that refused.
std::string describe_own_alert(std::uint8_t alert, bool by_server);

/// Our certificate and the CAs that we trust. Immutable once made; any thread.
class Credentials {
 public:
  /// Reads the files that `settings` name. Throws plugin::Failure, which names the option and file at fault.
  Credentials(const Settings& settings, bool server);
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;
  ~Credentials();

  gnutls_certificate_credentials_t get() const noexcept { return credentials_; }
  const gnutls_datum_t& ticket_key() const noexcept { return ticket_key_; }
  /// A listener's: keeps the early data of each ticket from being taken twice. Inside the engine.
  gnutls_anti_replay_t anti_replay() const noexcept { return anti_replay_; }
  /// A listener's, for the tokens of stateless resets: the same after a restart, since it is made of the private key
  /// (RFC 9000, section 10.3.2).
  const std::array<std::uint8_t, 32>& reset_secret() const noexcept { return reset_secret_; }
  /// Of servers that were verified with these; another CA starts anew.
  Tickets& tickets() const noexcept { return tickets_; }
  /// Of peers, found valid with these. Inside the engine.
  VerifiedChains& verified_chains() const noexcept { return verified_chains_; }

 private:
  void load(const Settings& settings, bool server);
  void make_reset_secret();
  void make_anti_replay();

  gnutls_certificate_credentials_t credentials_ = nullptr;
  gnutls_datum_t ticket_key_{};
  gnutls_anti_replay_t anti_replay_ = nullptr;
  mutable ReplayMemory replay_memory_;
  std::array<std::uint8_t, 32> reset_secret_{};
  mutable Tickets tickets_;
  mutable VerifiedChains verified_chains_;
};

/// What a peer must prove.
struct PeerRules {
  bool verify = true;
  bool check_chain = true;   ///< false where a pin alone decides
  std::string name;          ///< a server's; empty: any
  std::vector<Sha256> pins;  ///< empty: none
  std::string address;       ///< a server's, to know its tickets by
};

/// The subject of a certificate in DER, as RFC 4514 writes it, and its SHA-256 in hexadecimal digits.
std::string subject_of(const std::string& certificate);
std::string fingerprint_of(const std::string& certificate);

class TlsSession {
 public:
  /// `settings` must outlive the session. Throws plugin::Failure.
  TlsSession(std::shared_ptr<const Credentials> credentials, const Settings& settings, PeerRules rules, bool server);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  ~TlsSession();

  gnutls_session_t get() const noexcept { return session_; }
  /// The connection that this session's secrets are for; to be set before the first packet.
  void serve(ngtcp2_conn* conn) noexcept { conn_ = conn; }
  /// Why the peer's certificate was refused; empty when it was not.
  const std::string& problem() const noexcept { return problem_; }
  Alert alert() const noexcept { return alert_; }
  /// What the peer is told of it beside the alert; empty where the alert says it all.
  const std::string& told() const noexcept { return told_; }
  /// Whether an application protocol was agreed on; the handshake may end without one.
  bool has_protocol() const noexcept;
  std::string protocol() const;
  /// For example "TLS1.3 AES-128-GCM".
  std::string cipher() const;
  /// DER; empty: the peer has shown none.
  std::string peer_certificate() const;
  const Credentials& credentials() const noexcept { return *credentials_; }
  bool is_resumed() const noexcept { return gnutls_session_is_resumed(session_) != 0; }
  /// Whether a client was asked for a certificate, so that the server's verdict on it is still to come.
  bool was_asked_for_certificate() const noexcept;

  /// A server's, before the first packet: the handshake is to pause between our certificate and our signature, so that
  /// the client works on the one while we make the other. Not where the certificate is so large that another packet
  /// could be one too many before the client has proven its address.
  void send_in_halves() noexcept { half_ = Half::wanted; }
  /// Paused: go_on() makes the first half ready to be sent, go_on() once more makes the second.
  bool is_halfway() const noexcept { return half_ == Half::held || half_ == Half::ready; }
  /// False: the handshake failed.
  bool go_on() noexcept;
  /// A server's, once the handshake has completed: lets the client resume the session.
  void send_ticket() noexcept;
  /// A client's, from a ticket that allows it: what early data may use, see use_early_limits. Empty: there is none.
  const std::string& early_limits() const noexcept { return ticket_.early_limits; }
  /// A client's, once the first packet is written: whether there are keys for early data.
  bool offers_early_data() const noexcept;
  /// Whether the server has taken the client's early data: a server's from the client's first packet on, a client's
  /// once the handshake has completed.
  bool has_taken_early_data() const noexcept;

  /// GnuTLS's calls in the middle of a handshake; they return 0 or a GnuTLS error.
  int verify_peer();
  int install_secrets(gnutls_record_encryption_level_t level, const void* rx, const void* tx,
                      std::size_t size) noexcept;
  void log_secret(const char* label, const gnutls_datum_t& secret) noexcept;
  int hold_certificate(std::size_t size) noexcept;
  int hand_over(gnutls_record_encryption_level_t level, gnutls_handshake_description_t type, const void* message,
                std::size_t size) noexcept;

 private:
  /// Of a server's flight: what is with its certificate.
  enum class Half : std::uint8_t { whole, wanted, held, ready, sent };

  void start_server();
  void start_client();
  void take_early_data();
  void expect_tickets() noexcept;
  void keep_ticket() noexcept;
  std::string ticket_key() const;
  static TlsSession& of(gnutls_session_t session) noexcept;
  int refuse(Alert alert, std::string problem, std::string_view told = {});
  int check_pins(const gnutls_datum_t& certificate);
  int check_chain(std::span<const gnutls_datum_t> chain);
  /// The verdict in full, GnuTLS's bits; `expiry`: when the first of the certificates that it rests on expires.
  int verify_chain(unsigned& status, std::time_t& expiry);
  int refuse_chain(unsigned status, const gnutls_datum_t& certificate);
  bool is_stapled(std::size_t certificates) const noexcept;

  const std::shared_ptr<const Credentials> credentials_;
  const Settings& settings_;
  const PeerRules rules_;
  const bool server_;
  gnutls_session_t session_ = nullptr;
  ngtcp2_conn* conn_ = nullptr;
  ngtcp2_crypto_conn_ref reference_{};  // what ngtcp2's crypto library finds the connection with
  bool sends_ticket_ = false;
  Half half_ = Half::whole;
  Ticket ticket_;  // a client's, of the last session
  bool has_early_key_ = false;
  bool new_ticket_for_early_ = false;  // the one that is being received allows early data
  std::string problem_;
  std::string told_;
  Alert alert_ = Alert::none;
};

}  // namespace ferry::quic

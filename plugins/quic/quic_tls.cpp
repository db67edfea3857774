#include "quic_tls.hpp"

#include <gnutls/crypto.h>
#include <gnutls/ocsp.h>
#include <gnutls/x509.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <limits>
#include <utility>

#include "ferry/plugin.hpp"
#include "quic_hexadecimal.hpp"
#include "quic_ngtcp2.hpp"

namespace ferry::quic {
namespace {

using plugin::Failure;

// AES first: GnuTLS's ChaCha20 is an order of magnitude slower where the processor has AES instructions.
constexpr const char* priority_text =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:"
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1:%DISABLE_TLS13_COMPAT_MODE";

// How long a server that was verified is believed to be the same; GnuTLS's own is six hours.
constexpr int ticket_lifetime_s = 3600;
constexpr std::size_t ticket_key_bytes = 64;
// With a packet more, and the rest of the flight, within three times the 1200 bytes of a client's first packet.
constexpr std::size_t max_halved_certificate_bytes = 2048;
constexpr std::size_t early_data_over_quic = 0xffffffff;  // RFC 9001, section 4.6.1
// Early data is taken when the client's first packet took less than this beyond the usual, so that what was held back
// on the path is not taken long after it was meant.
constexpr unsigned early_data_window_ms = 10'000;

void check(int result, std::string_view what) {
  if (result < 0) throw Failure(FERRY_INTERNAL, std::string(what) + ": " + gnutls_strerror(result));
}

void check_file(int result, std::string_view option, const std::string& file) {
  if (result >= 0) return;
  const bool missing = ::access(file.c_str(), R_OK) != 0;
  const ferry_status status = !missing ? FERRY_INVALID : errno == ENOENT ? FERRY_NOT_FOUND : FERRY_PERMISSION;
  throw Failure(status,
                std::string(option) + " " + file + ": " +
                    (missing ? std::string(::strerror(errno)) : std::string(gnutls_strerror(result))),
                missing ? errno : 0);
}

/// Parsed once, and referred to by every session.
gnutls_priority_t priorities() {
  static const gnutls_priority_t parsed = [] {
    gnutls_priority_t out = nullptr;
    check(gnutls_priority_init(&out, priority_text, nullptr), "TLS priorities");
    return out;
  }();
  return parsed;
}

/// Text that a peer chose, fit for a terminal and for one line of a log: what is not printable ASCII becomes \NN, as
/// RFC 4514 (section 2.4) allows in a subject.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += '\\';
      append_hexadecimal(out, &byte, 1);
    }
  }
  return out;
}

/// A certificate parsed for its facts.
class Certificate {
 public:
  explicit Certificate(const gnutls_datum_t& der) {
    if (gnutls_x509_crt_init(&certificate_) < 0) return;
    valid_ = gnutls_x509_crt_import(certificate_, &der, GNUTLS_X509_FMT_DER) >= 0;
  }
  Certificate(const Certificate&) = delete;
  Certificate& operator=(const Certificate&) = delete;
  ~Certificate() {
    if (certificate_ != nullptr) gnutls_x509_crt_deinit(certificate_);
  }

  std::string issuer() const { return name_by(gnutls_x509_crt_get_issuer_dn3); }
  std::string subject() const { return name_by(gnutls_x509_crt_get_dn3); }
  std::string expiry() const {
    const std::time_t at = valid_ ? gnutls_x509_crt_get_expiration_time(certificate_) : 0;
    std::tm parts{};
    char text[32] = "";
    if (::gmtime_r(&at, &parts) != nullptr) std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts);
    return text;
  }
  /// The names it is for, a few of them.
  std::string names() const {
    std::string out;
    for (unsigned i = 0; valid_ && i < 4; ++i) {
      char name[256];
      std::size_t size = sizeof(name);
      const int type = gnutls_x509_crt_get_subject_alt_name(certificate_, i, name, &size, nullptr);
      if (type < 0) break;
      if (type != GNUTLS_SAN_DNSNAME) continue;
      out += out.empty() ? "" : ", ";
      out += printable({name, size});
    }
    return out.empty() ? "other names" : out;
  }

 private:
  std::string name_by(int (*get)(gnutls_x509_crt_t, gnutls_datum_t*, unsigned)) const {
    gnutls_datum_t text{};
    if (!valid_ || get(certificate_, &text, 0) < 0) return "unknown";
    std::string out = printable({reinterpret_cast<const char*>(text.data), text.size});
    gnutls_free(text.data);
    return out;
  }

  gnutls_x509_crt_t certificate_ = nullptr;
  bool valid_ = false;
};

constexpr std::time_t never = std::numeric_limits<std::time_t>::max();

// When the first of the certificates expires that GnuTLS looks at while it verifies a chain; it gives its callback
// nothing to tell sessions apart by. Aligned for clang 14's LeakSanitizer, as in quic_ngtcp2.cpp.
alignas(64) thread_local std::time_t first_expiry = never;

int note_expiry(gnutls_x509_crt_t certificate, gnutls_x509_crt_t issuer, gnutls_x509_crl_t, unsigned) {
  for (const gnutls_x509_crt_t used : {certificate, issuer}) {
    if (used != nullptr) first_expiry = std::min(first_expiry, gnutls_x509_crt_get_expiration_time(used));
  }
  return 0;
}

Sha256 fingerprint(const gnutls_datum_t& der) {
  Sha256 out{};
  gnutls_hash_fast(GNUTLS_DIG_SHA256, der.data, der.size, out.data());
  return out;
}

gnutls_datum_t datum_of(const std::string& bytes) noexcept {
  return {reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data())), static_cast<unsigned>(bytes.size())};
}

std::string hexadecimal(const Sha256& bytes) {
  std::string out;
  append_hexadecimal(out, bytes.data(), bytes.size());
  return out;
}

}  // namespace

std::string subject_of(const std::string& certificate) {
  return certificate.empty() ? "" : Certificate(datum_of(certificate)).subject();
}

std::string fingerprint_of(const std::string& certificate) {
  return certificate.empty() ? "" : hexadecimal(fingerprint(datum_of(certificate)));
}

std::string describe_alert(std::uint8_t alert, bool from_server) {
  const std::string who = from_server ? "the server" : "the client";
  switch (static_cast<Alert>(alert)) {
    case Alert::bad_certificate:
    case Alert::certificate_unknown:  // which others use for whatever they cannot say better
      return who + " refused our certificate";
    case Alert::certificate_expired:
      return who + " refused our certificate: it has expired";
    case Alert::unknown_ca:
      return who + " refused our certificate: its issuer is not trusted there";
    case Alert::certificate_required:
      return who + " asks for a certificate; name one in cert and key";
    case Alert::no_application_protocol:
      return who + " speaks none of our application protocols; set alpn to one of its own";
    default: {
      const char* name = gnutls_alert_get_strname(static_cast<gnutls_alert_description_t>(alert));
      return who + " ended the TLS handshake: " + (name == nullptr ? "alert " + std::to_string(alert) : name);
    }
  }
}

std::string describe_own_alert(std::uint8_t alert, bool by_server) {
  const std::string whom = by_server ? "the client" : "the server";
  switch (static_cast<Alert>(alert)) {
    case Alert::certificate_required:
      return whom + " has no certificate, and must prove who it is";
    case Alert::no_application_protocol:
      return whom + " speaks none of our application protocols (alpn)";
    default: {
      const char* name = gnutls_alert_get_strname(static_cast<gnutls_alert_description_t>(alert));
      return "the TLS handshake with " + whom +
             " failed: " + (name == nullptr ? "alert " + std::to_string(alert) : name);
    }
  }
}

Credentials::Credentials(const Settings& settings, bool server) {
  check(gnutls_certificate_allocate_credentials(&credentials_), "TLS credentials");
  try {
    load(settings, server);
  } catch (...) {
    gnutls_certificate_free_credentials(credentials_);
    throw;
  }
}

void Credentials::load(const Settings& settings, bool server) {
  const std::string& ca = server ? settings.client_ca : settings.ca;
  if (!ca.empty()) {
    const int count = gnutls_certificate_set_x509_trust_file(credentials_, ca.c_str(), GNUTLS_X509_FMT_PEM);
    check_file(count, server ? "client_ca" : "ca", ca);
    if (count == 0) throw Failure(FERRY_INVALID, std::string(server ? "client_ca " : "ca ") + ca + ": no certificate");
  } else if (!server && !settings.insecure && settings.pins.empty()) {
    gnutls_certificate_set_x509_system_trust(credentials_);
  }
  if (!settings.cert.empty()) {
    const std::string& key = settings.key.empty() ? settings.cert : settings.key;
    const int result =
        gnutls_certificate_set_x509_key_file(credentials_, settings.cert.c_str(), key.c_str(), GNUTLS_X509_FMT_PEM);
    if (result < 0) {
      const bool cert_is_there = ::access(settings.cert.c_str(), R_OK) == 0;
      check_file(result, cert_is_there && ::access(key.c_str(), R_OK) != 0 ? "key" : "cert",
                 cert_is_there && ::access(key.c_str(), R_OK) != 0 ? key : settings.cert);
    }
  } else if (server) {
    throw Failure(FERRY_INVALID,
                  "a QUIC listener needs a certificate: set cert and key (ferry keygen makes a pair for trying out)");
  }
  if (!server) return;
  check(gnutls_session_ticket_key_generate(&ticket_key_), "TLS ticket key");
  make_reset_secret();
  make_anti_replay();
}

void Credentials::make_anti_replay() {
  check(gnutls_anti_replay_init(&anti_replay_), "early data");
  gnutls_anti_replay_set_window(anti_replay_, early_data_window_ms);
  gnutls_anti_replay_set_ptr(anti_replay_, &replay_memory_);
  gnutls_anti_replay_set_add_function(
      anti_replay_, [](void* memory, std::time_t expires, const gnutls_datum_t* id, const gnutls_datum_t*) {
        constexpr std::int64_t window_s = early_data_window_ms / 1000;
        try {
          const std::string text(reinterpret_cast<const char*>(id->data), id->size);
          const bool added = static_cast<ReplayMemory*>(memory)->add(text, expires - window_s, window_s);
          return added ? 0 : GNUTLS_E_DB_ENTRY_EXISTS;
        } catch (const std::bad_alloc&) {
          return GNUTLS_E_MEMORY_ERROR;
        }
      });
}

void Credentials::make_reset_secret() {
  gnutls_x509_privkey_t key = nullptr;
  check(gnutls_certificate_get_x509_key(credentials_, 0, &key), "the private key");
  gnutls_datum_t der{};
  const int exported = gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_DER, &der);
  gnutls_x509_privkey_deinit(key);
  check(exported, "the private key");
  constexpr std::string_view purpose = "ferry: tokens of stateless resets";
  const int result =
      gnutls_hmac_fast(GNUTLS_MAC_SHA256, der.data, der.size, purpose.data(), purpose.size(), reset_secret_.data());
  gnutls_memset(der.data, 0, der.size);
  gnutls_free(der.data);
  check(result, "the secret of stateless resets");
}

Credentials::~Credentials() {
  gnutls_certificate_free_credentials(credentials_);
  if (anti_replay_ != nullptr) gnutls_anti_replay_deinit(anti_replay_);
  gnutls_memset(ticket_key_.data, 0, ticket_key_.size);
  gnutls_free(ticket_key_.data);
}

TlsSession::TlsSession(std::shared_ptr<const Credentials> credentials, const Settings& settings, PeerRules rules,
                       bool server)
    : credentials_(std::move(credentials)), settings_(settings), rules_(std::move(rules)), server_(server) {
  if (!server && settings.resumption) ticket_ = credentials_->tickets().take(ticket_key()).value_or(Ticket{});
  if (!settings.early_data) ticket_.early_limits.clear();
  const bool early = server ? settings.early_data : !ticket_.early_limits.empty();
  // One key share, of X25519: each costs the making of a key, and a server that wants another group asks for it.
  const unsigned flags = (server ? GNUTLS_SERVER | GNUTLS_NO_AUTO_SEND_TICKET : GNUTLS_CLIENT) | GNUTLS_NO_SIGNAL |
                         GNUTLS_NO_END_OF_EARLY_DATA | GNUTLS_KEY_SHARE_TOP | (early ? GNUTLS_ENABLE_EARLY_DATA : 0);
  check(gnutls_init(&session_, flags), "TLS session");
  reference_.user_data = this;
  reference_.get_conn = [](ngtcp2_crypto_conn_ref* reference) {
    return static_cast<TlsSession*>(reference->user_data)->conn_;
  };
  gnutls_session_set_ptr(session_, &reference_);
  check(gnutls_priority_set(session_, priorities()), "TLS priorities");
  check(gnutls_credentials_set(session_, GNUTLS_CRD_CERTIFICATE, credentials_->get()), "TLS credentials");
  std::vector<gnutls_datum_t> protocols;
  for (const std::string& name : settings.alpn) {
    protocols.push_back(
        {reinterpret_cast<unsigned char*>(const_cast<char*>(name.data())), static_cast<unsigned>(name.size())});
  }
  check(gnutls_alpn_set_protocols(session_, protocols.data(), static_cast<unsigned>(protocols.size()),
                                  GNUTLS_ALPN_MANDATORY),
        "ALPN");
  gnutls_session_set_verify_function(session_, [](gnutls_session_t s) { return of(s).verify_peer(); });
  gnutls_session_set_verify_output_function(session_, note_expiry);
  // In any case: GnuTLS's own function makes the file of SSLKEYLOGFILE readable by all.
  gnutls_session_set_keylog_function(session_, [](gnutls_session_t s, const char* label, const gnutls_datum_t* secret) {
    of(s).log_secret(label, *secret);
    return 0;
  });
  if (server) {
    start_server();
  } else {
    start_client();
  }
}

void TlsSession::start_server() {
  if (!settings_.client_ca.empty() || !settings_.pins.empty()) {
    gnutls_certificate_server_set_request(session_, GNUTLS_CERT_REQUIRE);
    // Without the list of our CAs: a client with another's certificate would keep it back and look as if it had none.
    gnutls_certificate_send_x509_rdn_sequence(session_, 1);
  } else if (settings_.early_data) {
    take_early_data();
  } else if (settings_.resumption) {
    check(gnutls_session_ticket_enable_server(session_, &credentials_->ticket_key()), "TLS tickets");
    sends_ticket_ = true;
  }
  if (sends_ticket_) gnutls_db_set_cache_expiration(session_, ticket_lifetime_s);
  check(ngtcp2_crypto_gnutls_configure_server_session(session_), "TLS for QUIC");
  gnutls_handshake_set_hook_function(
      session_, GNUTLS_HANDSHAKE_CERTIFICATE_PKT, GNUTLS_HOOK_POST,
      [](gnutls_session_t s, unsigned, unsigned, unsigned incoming, const gnutls_datum_t* message) {
        return incoming != 0 ? 0 : of(s).hold_certificate(message->size);
      });
  gnutls_handshake_set_read_function(
      session_, [](gnutls_session_t s, gnutls_record_encryption_level_t level, gnutls_handshake_description_t type,
                   const void* message, std::size_t size) { return of(s).hand_over(level, type, message, size); });
}

/// GnuTLS has the certificate among what it will hand over, and would sign next.
int TlsSession::hold_certificate(std::size_t size) noexcept {
  if (half_ != Half::wanted || size > max_halved_certificate_bytes) return 0;
  half_ = Half::held;
  return GNUTLS_E_AGAIN;
}

/// As ngtcp2's own, but that it pauses once more when the certificate is out; GnuTLS then offers it again.
int TlsSession::hand_over(gnutls_record_encryption_level_t level, gnutls_handshake_description_t type,
                          const void* message, std::size_t size) noexcept {
  const bool is_certificate = type == GNUTLS_HANDSHAKE_CERTIFICATE_PKT;
  if (is_certificate && half_ == Half::sent) return 0;
  const int result =
      ngtcp2_conn_submit_crypto_data(conn_, ngtcp2_crypto_gnutls_from_gnutls_record_encryption_level(level),
                                     static_cast<const std::uint8_t*>(message), size);
  if (result != 0) {
    ngtcp2_conn_set_tls_error(conn_, result);
    return GNUTLS_E_INTERNAL_ERROR;
  }
  if (!is_certificate || half_ != Half::held) return 0;
  half_ = Half::ready;
  return GNUTLS_E_AGAIN;
}

bool TlsSession::go_on() noexcept {
  if (half_ == Half::ready) half_ = Half::sent;
  return ngtcp2_crypto_read_write_crypto_data(conn_, NGTCP2_CRYPTO_LEVEL_INITIAL, nullptr, 0) == 0;
}

/// Tickets hold for the very limits and protocol that are in force: early data that was sent under others must not be
/// taken (RFC 9000, section 7.4.1; RFC 8446, section 4.2.10). Such a ticket is not understood any more.
void TlsSession::take_early_data() {
  const std::string bound_to = "ferry: early data\n" + std::to_string(settings_.window) + '\n' +
                               std::to_string(settings_.datagrams > 0) + '\n' + settings_.alpn.front();
  const gnutls_datum_t& base = credentials_->ticket_key();
  std::array<std::uint8_t, ticket_key_bytes> bytes;
  check(gnutls_hmac_fast(GNUTLS_MAC_SHA512, base.data, base.size, bound_to.data(), bound_to.size(), bytes.data()),
        "TLS ticket key");
  const gnutls_datum_t key{bytes.data(), bytes.size()};
  check(gnutls_session_ticket_enable_server(session_, &key), "TLS tickets");
  gnutls_memset(bytes.data(), 0, bytes.size());
  check(gnutls_record_set_max_early_data_size(session_, early_data_over_quic), "early data");
  gnutls_anti_replay_enable(session_, credentials_->anti_replay());
  sends_ticket_ = true;
}

void TlsSession::start_client() {
  const bool is_literal = rules_.name.empty() || rules_.name.find(':') != std::string::npos ||
                          rules_.name.find_first_not_of("0123456789.") == std::string::npos;
  if (!is_literal) {  // RFC 6066, section 3: an address is no name
    check(gnutls_server_name_set(session_, GNUTLS_NAME_DNS, rules_.name.data(), rules_.name.size()), "server_name");
  }
  check(ngtcp2_crypto_gnutls_configure_client_session(session_), "TLS for QUIC");
  gnutls_handshake_set_secret_function(
      session_, [](gnutls_session_t s, gnutls_record_encryption_level_t level, const void* rx, const void* tx,
                   std::size_t size) { return of(s).install_secrets(level, rx, tx, size); });
  if (!settings_.resumption) return;
  // A ticket that GnuTLS does not take (any more) costs the whole handshake, and nothing else.
  if (!ticket_.session.empty()) {
    (void)gnutls_session_set_data(session_, ticket_.session.data(), ticket_.session.size());
  }
  expect_tickets();
}

TlsSession::~TlsSession() {
  if (session_ != nullptr) gnutls_deinit(session_);
}

void TlsSession::send_ticket() noexcept {
  if (sends_ticket_) (void)gnutls_session_ticket_send(session_, 1, 0);
}

/// A ticket stands for what was verified when it was given, so it counts for the same rules only.
std::string TlsSession::ticket_key() const {
  std::string out = rules_.address + '\n' + rules_.name + '\n';
  for (const Sha256& pin : rules_.pins) out += hexadecimal(pin) + '\n';
  for (const std::string& name : settings_.alpn) out += name + '\n';
  return out;
}

void TlsSession::expect_tickets() noexcept {
  gnutls_handshake_set_hook_function(
      session_, GNUTLS_HANDSHAKE_NEW_SESSION_TICKET, GNUTLS_HOOK_BOTH,
      [](gnutls_session_t session, unsigned, unsigned when, unsigned, const gnutls_datum_t* message) {
        TlsSession& self = of(session);
        if (when == GNUTLS_HOOK_PRE) {
          self.new_ticket_for_early_ = allows_early_data({message->data, message->size});
        } else {
          self.keep_ticket();
        }
        return 0;
      });
}

void TlsSession::keep_ticket() noexcept {
  gnutls_datum_t data{};
  if (gnutls_session_get_data2(session_, &data) < 0) return;
  try {
    credentials_->tickets().put(ticket_key(), {{reinterpret_cast<const char*>(data.data), data.size},
                                               new_ticket_for_early_ ? early_limits_of(conn_) : std::string()});
  } catch (const std::bad_alloc&) {  // the next handshake is a whole one
  }
  gnutls_memset(data.data, 0, data.size);
  gnutls_free(data.data);
}

/// As ngtcp2's own, but for a server that asks for another key exchange (HelloRetryRequest): GnuTLS would then offer
/// the early data once more, which is not allowed (RFC 8446, section 4.2.10), and ngtcp2 0.12 abort over its second
/// key.
int TlsSession::install_secrets(gnutls_record_encryption_level_t level, const void* rx, const void* tx,
                                std::size_t size) noexcept {
  if (level == GNUTLS_ENCRYPTION_LEVEL_EARLY && std::exchange(has_early_key_, true)) {
    return refuse(Alert::internal_error,
                  "the server asks for another key exchange, which excludes early data; the next connection has none");
  }
  const ngtcp2_crypto_level quic_level = ngtcp2_crypto_gnutls_from_gnutls_record_encryption_level(level);
  const auto* in = static_cast<const std::uint8_t*>(rx);
  const auto* out = static_cast<const std::uint8_t*>(tx);
  if (in != nullptr &&
      ngtcp2_crypto_derive_and_install_rx_key(conn_, nullptr, nullptr, nullptr, quic_level, in, size) != 0) {
    return GNUTLS_E_INTERNAL_ERROR;
  }
  if (out != nullptr &&
      ngtcp2_crypto_derive_and_install_tx_key(conn_, nullptr, nullptr, nullptr, quic_level, out, size) != 0) {
    return GNUTLS_E_INTERNAL_ERROR;
  }
  return 0;
}

bool TlsSession::offers_early_data() const noexcept {
  return !ticket_.early_limits.empty() && gnutls_early_cipher_get(session_) != GNUTLS_CIPHER_UNKNOWN;
}

bool TlsSession::has_taken_early_data() const noexcept {
  return (gnutls_session_get_flags(session_) & GNUTLS_SFLAGS_EARLY_DATA) != 0;
}

bool TlsSession::has_protocol() const noexcept {
  gnutls_datum_t name{};
  return gnutls_alpn_get_selected_protocol(session_, &name) == 0;
}

std::string TlsSession::protocol() const {
  gnutls_datum_t name{};
  if (gnutls_alpn_get_selected_protocol(session_, &name) != 0) return {};
  return {reinterpret_cast<const char*>(name.data), name.size};
}

std::string TlsSession::cipher() const {
  const char* name = gnutls_cipher_get_name(gnutls_cipher_get(session_));
  return std::string("TLS1.3 ") + (name == nullptr ? "unknown" : name);
}

std::string TlsSession::peer_certificate() const {
  unsigned count = 0;
  const gnutls_datum_t* chain = gnutls_certificate_get_peers(session_, &count);
  if (chain == nullptr || count == 0) return {};
  return {reinterpret_cast<const char*>(chain->data), chain->size};
}

bool TlsSession::was_asked_for_certificate() const noexcept {
  return gnutls_certificate_client_get_request_status(session_) != 0;
}

int TlsSession::refuse(Alert alert, std::string problem, std::string_view told) {
  alert_ = alert;
  problem_ = std::move(problem);
  told_ = told;
  return GNUTLS_E_CERTIFICATE_ERROR;
}

int TlsSession::verify_peer() {
  if (!rules_.verify) return 0;
  unsigned count = 0;
  const gnutls_datum_t* chain = gnutls_certificate_get_peers(session_, &count);
  if (chain == nullptr || count == 0) return refuse(Alert::certificate_required, "the peer has no certificate");
  if (const int result = check_pins(chain[0]); result != 0) return result;
  return rules_.check_chain ? check_chain({chain, count}) : 0;
}

int TlsSession::check_pins(const gnutls_datum_t& certificate) {
  if (rules_.pins.empty()) return 0;
  const Sha256 actual = fingerprint(certificate);
  if (std::find(rules_.pins.begin(), rules_.pins.end(), actual) != rules_.pins.end()) return 0;
  return refuse(Alert::certificate_unknown,
                "the peer's certificate is not the pinned one; its SHA-256 is " + hexadecimal(actual),
                "it is not the pinned one");
}

int TlsSession::check_chain(std::span<const gnutls_datum_t> chain) {
  const std::time_t now = std::time(nullptr);
  // A stapled OCSP response has a say in the verdict, and a life of its own.
  const std::optional<Sha256> digest = is_stapled(chain.size()) ? std::nullopt : digest_of_chain(rules_.name, chain);
  if (digest && credentials_->verified_chains().has(*digest, now)) return 0;
  unsigned status = 0;
  std::time_t expiry = never;
  const int result = verify_chain(status, expiry);
  if (result < 0)
    return refuse(Alert::bad_certificate, std::string("the peer's certificate: ") + gnutls_strerror(result));
  if (status != 0) return refuse_chain(status, chain[0]);
  if (digest && expiry != never) credentials_->verified_chains().add(*digest, now, expiry);
  return 0;
}

bool TlsSession::is_stapled(std::size_t certificates) const noexcept {
  gnutls_datum_t response{};
  for (unsigned i = 0; i < certificates; ++i) {
    if (gnutls_ocsp_status_request_get2(session_, i, &response) != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE) return true;
  }
  return false;
}

int TlsSession::verify_chain(unsigned& status, std::time_t& expiry) {
  gnutls_typed_vdata_st data[2]{};
  unsigned elements = 0;
  data[elements].type = GNUTLS_DT_KEY_PURPOSE_OID;
  data[elements++].data = reinterpret_cast<unsigned char*>(
      const_cast<char*>(server_ ? GNUTLS_KP_TLS_WWW_CLIENT : GNUTLS_KP_TLS_WWW_SERVER));
  if (!rules_.name.empty()) {
    data[elements].type = GNUTLS_DT_DNS_HOSTNAME;
    data[elements++].data = reinterpret_cast<unsigned char*>(const_cast<char*>(rules_.name.c_str()));
  }
  first_expiry = never;
  const int result = gnutls_certificate_verify_peers(session_, data, elements, &status);
  expiry = first_expiry;
  return result;
}

int TlsSession::refuse_chain(unsigned status, const gnutls_datum_t& der) {
  const Certificate certificate(der);
  const std::string whose = server_ ? "the client's certificate " : "the server's certificate ";
  // A CA of the same name that is another one is not "not found", but a signature of it fails.
  if ((status & (GNUTLS_CERT_SIGNER_NOT_FOUND | GNUTLS_CERT_SIGNER_NOT_CA | GNUTLS_CERT_SIGNATURE_FAILURE)) != 0) {
    return refuse(Alert::unknown_ca, whose + "is of an issuer that is not trusted (" + certificate.issuer() +
                                         "); if it is right, name its CA in " + (server_ ? "client_ca" : "ca") +
                                         " or set pin=" + hexadecimal(fingerprint(der)));
  }
  if ((status & GNUTLS_CERT_EXPIRED) != 0) {
    return refuse(Alert::certificate_expired, whose + "expired on " + certificate.expiry());
  }
  if ((status & GNUTLS_CERT_UNEXPECTED_OWNER) != 0) {
    return refuse(Alert::bad_certificate,
                  whose + "is for " + certificate.names() + " and not for '" + rules_.name +
                      "'; if that is right, set server_name",
                  "it is not for the name that was asked for");
  }
  gnutls_datum_t text{};
  std::string reason = "not valid";
  if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) >= 0) {
    reason.assign(reinterpret_cast<const char*>(text.data), text.size);
    gnutls_free(text.data);
  }
  return refuse(Alert::bad_certificate, whose + "was refused: " + reason, reason);
}

void TlsSession::log_secret(const char* label, const gnutls_datum_t& secret) noexcept {
  if (settings_.secrets == nullptr) return;
  try {
    gnutls_datum_t random{};
    gnutls_datum_t unused{};
    gnutls_session_get_random(session_, &random, &unused);
    std::string line = std::string(label) + " ";
    append_hexadecimal(line, random.data, random.size);
    line += ' ';
    append_hexadecimal(line, secret.data, secret.size);
    line += '\n';
    settings_.secrets->append(line);
  } catch (const std::bad_alloc&) {  // a capture that cannot be read is no reason to fail a connection
  }
}

TlsSession& TlsSession::of(gnutls_session_t session) noexcept {
  const auto* reference = static_cast<const ngtcp2_crypto_conn_ref*>(gnutls_session_get_ptr(session));
  return *static_cast<TlsSession*>(reference->user_data);
}

}  // namespace ferry::quic

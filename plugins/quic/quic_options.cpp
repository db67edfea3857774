#include "quic_options.hpp"

#include <algorithm>
#include <cstring>

#include "quic_qlog.hpp"

namespace ferry::quic {
namespace {

namespace row = plugin::option;
using plugin::Failure;

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t hour_ns = 3600 * second_ns;
constexpr std::uint32_t connecting = FERRY_OPTION_CONNECT;
constexpr std::uint32_t listening = FERRY_OPTION_LISTEN | FERRY_OPTION_RELOADABLE;
constexpr std::uint32_t both = row::both | FERRY_OPTION_RELOADABLE;
constexpr std::size_t max_alpn_bytes = 255;  // RFC 7301, section 3.1

/// The pieces between commas, without blanks around them and without empty ones.
std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    std::string_view piece = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    while (!piece.empty() && piece.front() == ' ') piece.remove_prefix(1);
    while (!piece.empty() && piece.back() == ' ') piece.remove_suffix(1);
    if (!piece.empty()) out.emplace_back(piece);
  }
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// 64 hexadecimal digits; colons between them are skipped, as openssl and certtool print them.
Sha256 parse_pin(const std::string& text) {
  Sha256 out{};
  std::size_t digits = 0;
  for (const char c : text) {
    if (c == ':') continue;
    const int digit = hex_digit(c);
    if (digit < 0 || digits == 2 * out.size()) {
      digits = 0;
      break;
    }
    out[digits / 2] = static_cast<std::uint8_t>((out[digits / 2] << 4) | digit);
    ++digits;
  }
  if (digits != 2 * out.size()) {
    throw Failure(FERRY_INVALID, "pin: each must be a certificate's SHA-256 in 64 hexadecimal digits");
  }
  return out;
}

template <class Enum>
Enum choice(std::string_view text, const char* const* choices) {
  int index = 0;
  while (choices[index] != nullptr && text != choices[index]) ++index;
  return static_cast<Enum>(choices[index] == nullptr ? 0 : index);
}

}  // namespace

constexpr std::array<ferry_option, option_count> option_table = {
    row::text("alpn", "ferry",
              "application protocols (ALPN), with commas between; both sides must have one in common, and other QUIC "
              "programs with the same one can talk to it",
              both),
    row::text("server_name", nullptr, "name to ask for and to verify; the address's host when unset", connecting),
    row::text("ca", nullptr, "file of CA certificates (PEM) that servers are verified with, instead of the system's",
              connecting),
    row::text(
        "cert", nullptr,
        "file of our certificate chain (PEM), which a client needs only where the server asks for it; 'ferry keygen' "
        "makes cert and key for trying out",
        both | FERRY_OPTION_NEEDED),
    row::text("key", nullptr, "file of the private key to cert (PEM); the same file when unset", both),
    row::text(
        "pin", nullptr,
        "SHA-256 of acceptable peer certificates, in hexadecimal, with commas between; without ca (client_ca) they "
        "are trusted by that alone",
        both),
    row::text("client_ca", nullptr, "file of CA certificates (PEM) that clients must prove to be of (mutual TLS)",
              listening),
    row::boolean("insecure", "false", "take any server certificate: anybody on the path can read and forge everything",
                 connecting),
    row::boolean("resumption", "true",
                 "shorten later handshakes with the same peer by a TLS session ticket; never where clients are "
                 "verified, who prove themselves each time",
                 both),
    row::boolean("early_data", "false",
                 "with such a ticket, send what is written before the server has answered (0-RTT), and take it from "
                 "clients; whoever is on the path can hold it back or send it again, so for requests only that may "
                 "come late and twice",
                 both),
    row::choice("cc", "cubic", cc_choices, "congestion control", both),
    row::duration("idle_timeout", "30s", 10'000'000, 24 * hour_ns,
                  "silence after which the connection counts as dead; the smaller of both sides' is in force", both),
    row::duration("handshake_timeout", "10s", 1'000'000, hour_ns, "longest time from first packet to established",
                  both),
    row::duration("keepalive", "0s", 0, hour_ns, "silence after which a ping is sent; 0 sends none", both),
    row::size("sndbuf", "4MiB", 16 << 10, 1 << 30, "unacknowledged bytes a stream takes before writes wait", both),
    row::size("rcvbuf", "4MiB", 16 << 10, 1 << 30, "unread bytes that the peer may send on a stream", both),
    row::integer("streams", "100", 0, 65535,
                 "streams that the peer may have open at once beside the first, once the application listens for them",
                 both),
    row::size("datagrams", "64KiB", 0, 1 << 30,
              "datagrams that wait for the application, and for the network; 0 takes none at all", both),
    row::choice("datagram_drop", "oldest", drop_choices, "which datagram goes when too many wait for the application",
                both),
    row::integer("backlog", "1024", 1, 65535,
                 "clients that may wait for accept, handshakes under way included; further ones wait for room",
                 listening),
    row::choice("retry", "auto", retry_choices,
                "make clients prove their address before anything is kept for them: under load, always, or never",
                listening),
    row::text("keylog", nullptr,
              "file to append TLS secrets to, for decrypting captures, that its owner alone may open; unset: what "
              "SSLKEYLOGFILE "
              "names",
              both),
    row::text("qlog", nullptr, "directory for one qlog file per connection", both),
};

Settings::Settings(plugin::Options options)
    : alpn(split(options.text(option_alpn))),
      server_name(options.text(option_server_name)),
      ca(options.text(option_ca)),
      cert(options.text(option_cert)),
      key(options.text(option_key)),
      client_ca(options.text(option_client_ca)),
      insecure(options.flag(option_insecure)),
      resumption(options.flag(option_resumption)),
      early_data(options.flag(option_early_data)),
      cc(choice<CongestionControl>(options.text(option_cc), cc_choices)),
      idle_timeout_ns(static_cast<std::uint64_t>(options.integer(option_idle_timeout))),
      handshake_timeout_ns(static_cast<std::uint64_t>(options.integer(option_handshake_timeout))),
      keepalive_ns(static_cast<std::uint64_t>(options.integer(option_keepalive))),
      send_buffer(static_cast<std::uint64_t>(options.integer(option_sndbuf))),
      window(static_cast<std::uint64_t>(options.integer(option_rcvbuf))),
      streams(static_cast<std::uint32_t>(options.integer(option_streams))),
      datagrams(static_cast<std::uint64_t>(options.integer(option_datagrams))),
      datagram_drop(choice<Drop>(options.text(option_datagram_drop), drop_choices)),
      backlog(static_cast<std::uint32_t>(options.integer(option_backlog))),
      retry(choice<Retry>(options.text(option_retry), retry_choices)),
      keylog(options.text(option_keylog)),
      qlog(options.text(option_qlog)) {
  if (alpn.empty()) throw Failure(FERRY_INVALID, "alpn: name at least one application protocol");
  for (const std::string& name : alpn) {
    if (name.size() > max_alpn_bytes) throw Failure(FERRY_INVALID, "alpn: a protocol's name is above 255 bytes");
  }
  for (const std::string& text : split(options.text(option_pin))) pins.push_back(parse_pin(text));
  if (!key.empty() && cert.empty()) throw Failure(FERRY_INVALID, "key is given without cert");
  if (keepalive_ns >= idle_timeout_ns) {
    throw Failure(FERRY_INVALID,
                  "keepalive must be shorter than idle_timeout, or the connection is dead before a ping");
  }
  if (early_data && !resumption) throw Failure(FERRY_INVALID, "early_data needs resumption");
  if (early_data && !client_ca.empty()) {
    throw Failure(FERRY_INVALID,
                  "early_data and client_ca exclude each other: early data comes before a client has proven who it is");
  }
  // A ticket's early data is of the protocol that was agreed on when it was given (RFC 8446, section 4.2.10).
  if (early_data && alpn.size() > 1) throw Failure(FERRY_INVALID, "early_data needs alpn to be one protocol");
  if (insecure && (!pins.empty() || !ca.empty())) {
    throw Failure(FERRY_INVALID, "insecure takes any certificate: it cannot be combined with ca or pin");
  }
}

std::shared_ptr<const Settings> open_logs(plugin::Options options, const ferry_host& host) {
  auto settings = std::make_shared<Settings>(options);
  if (!settings->qlog.empty()) check_qlog_directory(settings->qlog);
  if (!settings->keylog.empty()) {
    settings->secrets = std::make_shared<const Keylog>(settings->keylog);
  } else if (const std::string path = keylog_of_environment(); !path.empty()) {
    try {
      settings->secrets = std::make_shared<const Keylog>(path);
    } catch (const Failure& failure) {
      host.log(&host, FERRY_LOG_WARNING,
               (std::string("quic: SSLKEYLOGFILE is not written: ") + failure.what()).c_str());
    }
  }
  return settings;
}

void read_back(const Settings& settings, ferry_value* values, std::uint32_t count) noexcept {
  std::fill_n(values, count, ferry_value{});
  const auto number = [&](Option option, std::int64_t value) {
    if (option < count) values[option] = {value, nullptr, 1, 0};
  };
  const auto text = [&](Option option, const char* value) {
    if (option < count) values[option] = {0, value, 1, 0};
  };
  number(option_insecure, settings.insecure ? 1 : 0);
  number(option_resumption, settings.resumption ? 1 : 0);
  number(option_early_data, settings.early_data ? 1 : 0);
  text(option_cc, cc_choices[static_cast<int>(settings.cc)]);
  number(option_idle_timeout, static_cast<std::int64_t>(settings.idle_timeout_ns));
  number(option_handshake_timeout, static_cast<std::int64_t>(settings.handshake_timeout_ns));
  number(option_keepalive, static_cast<std::int64_t>(settings.keepalive_ns));
  number(option_sndbuf, static_cast<std::int64_t>(settings.send_buffer));
  number(option_rcvbuf, static_cast<std::int64_t>(settings.window));
  number(option_streams, settings.streams);
  number(option_datagrams, static_cast<std::int64_t>(settings.datagrams));
  text(option_datagram_drop, drop_choices[static_cast<int>(settings.datagram_drop)]);
  number(option_backlog, settings.backlog);
  text(option_retry, retry_choices[static_cast<int>(settings.retry)]);
}

}  // namespace ferry::quic

// What a host sees of the quic transport beyond the conformance suite: who is refused and in which words on either
// side, dead and kept peers, and the files it writes.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <future>
#include <map>
#include <string>
#include <thread>

#include "ferry/identity.hpp"
#include "ferry/runtime.hpp"
#include "ferry/streams.hpp"
#include "keygen/self_signed.hpp"
#include "support/temporary_directory.hpp"

using namespace ferry;
using namespace std::chrono_literals;

namespace {

/// Key pairs by name, and a runtime that finds the plugin as it was built.
class World {
 public:
  World() : runtime_(config()) {
    make_pair("good", {"localhost", "127.0.0.1"}, 24h);
    make_pair("other", {"other.example"}, 24h);
    make_pair("namesake", {"localhost", "127.0.0.1"}, 24h);
    make_pair("expired", {"localhost", "127.0.0.1"}, -1h);
  }

  Runtime& runtime() { return runtime_; }
  std::string file(const std::string& name) const { return (directory_.path() / name).string(); }
  const std::string& fingerprint(const std::string& name) { return fingerprints_.at(name); }
  /// Options that use the pair `name`.
  std::string identity(const std::string& name) const {
    return "cert=" + file(name + ".crt") + "&key=" + file(name + ".key");
  }
  std::string trust(const std::string& name) const { return "ca=" + file(name + ".crt"); }
  Listener listen(const std::string& options) { return runtime_.listen("quic://127.0.0.1:0?" + options); }
  void make_pair(const std::string& name, const std::vector<std::string>& names, std::chrono::seconds life) {
    const host::SelfSigned made = host::make_self_signed(names, life);
    std::ofstream(file(name + ".crt")) << made.certificate_pem;
    std::ofstream(file(name + ".key")) << made.key_pem;
    fingerprints_[name] = made.certificate_sha256;
  }

 private:
  static Config config() {
    Config out;
    out.plugins.plugin_dirs = {FERRY_PLUGIN_DIR};
    return out;
  }
  test::TemporaryDirectory directory_;
  Runtime runtime_;
  std::map<std::string, std::string> fingerprints_;
};

/// Where `listener` is, with other options.
std::string at(const Listener& listener, const std::string& options) {
  const std::string descriptor = listener.descriptor();
  return descriptor.substr(0, descriptor.find('?')) + "?" + options;
}

Error error_of(std::function<void()> body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  FAIL("nothing failed");
  throw std::logic_error("not reached");
}

/// A client with `client` options must be refused by a listener with `server` options, in these words at each end.
void refused(World& world, const std::string& server, const std::string& client, const std::string& says_client,
             const std::string& says_server) {
  CAPTURE(says_client);
  Listener listener = world.listen(server);
  const Error at_client = error_of([&] { world.runtime().connect_stream(at(listener, client), 10s); });
  CHECK(at_client.status() == Status::authentication);
  CAPTURE(std::string(at_client.what()));
  CHECK(std::string(at_client.what()).find(says_client) != std::string::npos);
  const Error at_server = error_of([&] { listener.accept(10s); });
  CHECK(at_server.status() == Status::authentication);
  CAPTURE(std::string(at_server.what()));
  CHECK(std::string(at_server.what()).find(says_server) != std::string::npos);
}

struct Ends {
  Connection client;
  Connection server;
};

Ends connect(World& world, Listener& listener, const std::string& options) {
  auto connecting =
      std::async(std::launch::async, [&] { return world.runtime().connect_stream(at(listener, options), 10s); });
  Connection server = listener.accept(10s);
  return {connecting.get(), std::move(server)};
}

void expect_echo(Ends& ends) {
  std::byte byte{42};
  CHECK(ends.client.write({&byte, 1}, 10s).status == Status::ok);
  std::byte got{};
  CHECK(ends.server.read({&got, 1}, 10s).status == Status::ok);
  CHECK(got == byte);
  CHECK(ends.server.write({&byte, 1}, 10s).status == Status::ok);
  CHECK(ends.client.read({&got, 1}, 10s).status == Status::ok);
}

mode_t mode_of(const std::string& path) {
  struct stat facts {};
  REQUIRE(::lstat(path.c_str(), &facts) == 0);
  return facts.st_mode & 07777;
}

std::size_t lines_of(const std::string& path) {
  std::ifstream file(path);
  std::size_t count = 0;
  for (std::string line; std::getline(file, line);) ++count;
  return count;
}

}  // namespace

TEST_CASE("each reason to refuse a peer has its own words, on both sides") {
  World world;
  const std::string server = world.identity("good");
  refused(world, server, world.trust("other"), "issuer that is not trusted", "issuer is not trusted there");
  refused(world, server, world.trust("namesake"), "issuer that is not trusted", "issuer is not trusted there");
  refused(world, server, world.trust("good") + "&server_name=example.org", "not for 'example.org'",
          "not for the name that was asked for");
  refused(world, world.identity("expired"), world.trust("expired"), "expired on", "has expired");
  refused(world, server, "pin=" + world.fingerprint("other"), "not the pinned one", "not the pinned one");
  refused(world, server, world.trust("good") + "&alpn=chess", "none of our application protocols",
          "none of our application protocols");
  const std::string mutual = server + "&client_ca=" + world.file("other.crt");
  refused(world, mutual, world.trust("good"), "asks for a certificate", "no certificate");
  refused(world, mutual, world.trust("good") + "&" + world.identity("good"), "issuer is not trusted there",
          "issuer that is not trusted");
}

TEST_CASE("peers are let in by a CA, by a pin alone, by both ways at once, and by insecure") {
  World world;
  Listener listener = world.listen(world.identity("good"));
  for (const std::string& options :
       {world.trust("good"), "pin=" + world.fingerprint("good"),
        world.trust("good") + "&pin=" + world.fingerprint("good"), std::string("insecure=true")}) {
    CAPTURE(options);
    Ends ends = connect(world, listener, options);
    expect_echo(ends);
  }
  Listener mutual = world.listen(world.identity("good") + "&client_ca=" + world.file("other.crt"));
  Ends ends = connect(world, mutual, world.trust("good") + "&" + world.identity("other"));
  expect_echo(ends);
}

TEST_CASE("a client that must prove its address by Retry is served") {
  World world;
  Listener listener = world.listen(world.identity("good") + "&retry=always");
  Ends ends = connect(world, listener, world.trust("good"));
  expect_echo(ends);
}

TEST_CASE("a closed port is refused at once, a silent one ends at its deadline") {
  World world;
  std::string address;
  {
    const Listener listener = world.listen(world.identity("good"));
    address = at(listener, world.trust("good"));
  }
  const auto start = std::chrono::steady_clock::now();
  CHECK(error_of([&] { world.runtime().connect_stream(address, 10s); }).status() == Status::refused);
  CHECK(std::chrono::steady_clock::now() - start < 2s);

  const int silent = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(where);
  REQUIRE(::bind(silent, reinterpret_cast<sockaddr*>(&where), size) == 0);
  REQUIRE(::getsockname(silent, reinterpret_cast<sockaddr*>(&where), &size) == 0);
  const std::string mute = "quic://127.0.0.1:" + std::to_string(ntohs(where.sin_port)) + "?" + world.trust("good");
  CHECK(error_of([&] { world.runtime().connect_stream(mute, 100ms); }).status() == Status::timed_out);
  const Error late = error_of([&] { world.runtime().connect_stream(mute + "&handshake_timeout=100ms", 10s); });
  CHECK(std::string(late.what()).find("handshake_timeout") != std::string::npos);
  ::close(silent);
}

TEST_CASE("silence ends a connection, unless it is kept alive") {
  World world;
  Listener listener = world.listen(world.identity("good") + "&idle_timeout=300ms");
  std::byte byte{};
  {
    Ends ends = connect(world, listener, world.trust("good"));
    CHECK(ends.client.read({&byte, 1}, 5s).status == Status::reset);
  }
  Ends ends = connect(world, listener, world.trust("good") + "&keepalive=50ms");
  CHECK(ends.client.read({&byte, 1}, 1s).status == Status::timed_out);
  expect_echo(ends);
}

TEST_CASE("packets within a machine become large in bulk") {
  World world;
  Listener listener = world.listen(world.identity("good"));
  Ends ends = connect(world, listener, world.trust("good"));
  const auto figure = [&](std::string_view name) {
    const auto* statistics = ends.client.extension<ferry_statistics>(FERRY_EXT_STATISTICS);
    std::vector<ferry_statistic> figures(64);
    figures.resize(static_cast<std::size_t>(statistics->read(ends.client.raw(), figures.data(), 64)));
    const auto at = std::find_if(figures.begin(), figures.end(), [&](const auto& one) { return one.name == name; });
    return at == figures.end() ? -1 : at->value;
  };
  CHECK(figure("max_payload") == 1200);
  std::vector<std::byte> sent(1u << 20, std::byte{7});
  std::vector<std::byte> got(sent.size());
  for (int rounds = 0; figure("max_payload") == 1200 && rounds < 200; ++rounds) {
    auto writing = std::async(std::launch::async, [&] { return ends.client.write(sent, 10s).status; });
    CHECK(ends.server.read_exactly(got, 10s).status == Status::ok);
    CHECK(writing.get() == Status::ok);
    CHECK(got == sent);
  }
  CHECK(figure("max_payload") > 8000);
}

TEST_CASE("secrets, qlog files and figures are there for whoever asks") {
  World world;
  Listener listener = world.listen(world.identity("good"));
  Ends ends =
      connect(world, listener, world.trust("good") + "&keylog=" + world.file("keys") + "&qlog=" + world.file(""));
  expect_echo(ends);
  CHECK(lines_of(world.file("keys")) >= 4);  // handshake and traffic secrets of both directions
  const auto* statistics = static_cast<const ferry_statistics*>(
      ends.client.raw()->ops->get_extension(ends.client.raw(), FERRY_EXT_STATISTICS));
  REQUIRE(statistics != nullptr);
  std::vector<ferry_statistic> figures(64);
  const std::int32_t count = statistics->read(ends.client.raw(), figures.data(), 64);
  REQUIRE(count > 0);
  figures.resize(static_cast<std::size_t>(count));
  for (const ferry_statistic& figure : figures) {
    if (std::string_view(figure.name) == "rtt") CHECK(figure.value > 0);
    if (std::string_view(figure.name) == "bytes_sent") CHECK(figure.value >= 1200);
  }
  ends.client.close();
  int logs = 0;
  for (const auto& entry : std::filesystem::directory_iterator(world.file(""))) {
    logs += entry.path().extension() == ".sqlog" ? 1 : 0;
  }
  CHECK(logs == 1);
}

TEST_CASE("secrets go to a file that its owner alone may open, or to none, and that is said at once") {
  World world;
  Listener listener = world.listen(world.identity("good") + "&keylog=" + world.file("servers"));
  Ends ends = connect(world, listener, world.trust("good"));
  CHECK(mode_of(world.file("servers")) == 0600);
  CHECK(lines_of(world.file("servers")) >= 4);

  std::ofstream(world.file("open")) << "";
  REQUIRE(::chmod(world.file("open").c_str(), 0640) == 0);
  std::filesystem::create_symlink(world.file("servers"), world.file("link"));
  REQUIRE(::mkfifo(world.file("pipe").c_str(), 0600) == 0);
  const auto refusal = [&](const std::string& name) {
    const std::string option = "&keylog=" + world.file(name);
    const Error at_client =
        error_of([&] { world.runtime().connect_stream(at(listener, world.trust("good") + option), 10s); });
    const Error at_server = error_of([&] { world.listen(world.identity("good") + option); });
    CHECK(at_client.status() == at_server.status());
    CHECK(std::string(at_client.what()).find("keylog " + world.file(name)) != std::string::npos);
    return at_client.status();
  };
  CHECK(refusal("open") == Status::permission);
  CHECK(refusal("link") == Status::invalid);
  CHECK(refusal("pipe") == Status::invalid);
  CHECK(refusal("missing/keys") == Status::not_found);
  CHECK(lines_of(world.file("open")) == 0);
}

TEST_CASE("qlog files are made for clients that come through, and cost nobody the connection") {
  World world;
  const std::string directory = world.file("logs");
  const std::string options = "&qlog=" + directory;
  CHECK(error_of([&] { world.listen(world.identity("good") + options); }).status() == Status::not_found);
  Listener plain = world.listen(world.identity("good"));
  CHECK(error_of([&] { world.runtime().connect_stream(at(plain, world.trust("good") + options), 10s); }).status() ==
        Status::not_found);
  std::ofstream(directory) << "no directory";
  CHECK(error_of([&] { world.listen(world.identity("good") + options); }).status() == Status::invalid);
  std::filesystem::remove(directory);

  std::filesystem::create_directory(directory);
  Listener listener = world.listen(world.identity("good") + options);
  const auto logs = [&] {
    const std::filesystem::directory_iterator files(directory);
    return std::vector<std::filesystem::directory_entry>(begin(files), end(files));
  };
  CHECK(error_of([&] { world.runtime().connect_stream(at(listener, world.trust("other")), 10s); }).status() ==
        Status::authentication);
  CHECK(error_of([&] { listener.accept(10s); }).status() == Status::authentication);
  CHECK(logs().empty());
  {
    Ends ends = connect(world, listener, world.trust("good"));
    expect_echo(ends);
    REQUIRE(logs().size() == 1);
    CHECK(mode_of(logs().front().path()) == 0600);
    ends.client.close();
    ends.server.close();
  }
  std::filesystem::remove_all(directory);
  Ends ends = connect(world, listener, world.trust("good"));
  expect_echo(ends);
}

TEST_CASE("what a certificate calls itself cannot control a terminal or begin a line") {
  World world;
  const std::string name = "evil\n09:00 error\x1b[31m";
  gnutls_x509_privkey_t key = nullptr;
  gnutls_x509_crt_t certificate = nullptr;
  REQUIRE(gnutls_x509_privkey_init(&key) == 0);
  REQUIRE(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0) == 0);
  REQUIRE(gnutls_x509_crt_init(&certificate) == 0);
  REQUIRE(gnutls_x509_crt_set_version(certificate, 3) == 0);
  REQUIRE(gnutls_x509_crt_set_serial(certificate, "\1", 1) == 0);
  REQUIRE(gnutls_x509_crt_set_activation_time(certificate, std::time(nullptr) - 3600) == 0);
  REQUIRE(gnutls_x509_crt_set_expiration_time(certificate, std::time(nullptr) + 3600) == 0);
  REQUIRE(gnutls_x509_crt_set_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, name.data(),
                                        static_cast<unsigned>(name.size())) == 0);
  // In DER (RFC 5280, section 4.2.1.6), because GnuTLS's own function makes a proper DNS name of it.
  const auto length = static_cast<char>(name.size());
  const std::string names = std::string{0x30, static_cast<char>(length + 2), '\x82', length} + name;
  REQUIRE(gnutls_x509_crt_set_extension_by_oid(certificate, "2.5.29.17", names.data(), names.size(), 0) == 0);
  REQUIRE(gnutls_x509_crt_set_key(certificate, key) == 0);
  REQUIRE(gnutls_x509_crt_sign2(certificate, certificate, key, GNUTLS_DIG_SHA256, 0) == 0);
  std::string pem(8192, '\0');
  std::size_t size = pem.size();
  REQUIRE(gnutls_x509_crt_export(certificate, GNUTLS_X509_FMT_PEM, pem.data(), &size) == 0);
  std::ofstream(world.file("evil.crt")).write(pem.data(), static_cast<std::streamsize>(size));
  size = pem.size();
  REQUIRE(gnutls_x509_privkey_export(key, GNUTLS_X509_FMT_PEM, pem.data(), &size) == 0);
  std::ofstream(world.file("evil.key")).write(pem.data(), static_cast<std::streamsize>(size));
  gnutls_x509_crt_deinit(certificate);
  gnutls_x509_privkey_deinit(key);

  Listener listener = world.listen(world.identity("evil"));
  for (const char* trusted : {"good", "evil"}) {  // told its issuer, then the names that it is for
    const Error error = error_of([&] { world.runtime().connect_stream(at(listener, world.trust(trusted)), 10s); });
    CAPTURE(std::string(error.what()));
    CHECK(error_of([&] { listener.accept(10s); }).status() == Status::authentication);
    CHECK(std::string(error.what()).find("evil\\0a09:00 error\\1b[31m") != std::string::npos);
  }
  Ends ends = connect(world, listener, "insecure=true");
  CHECK(identity_of(ends.client).subject == "CN=evil\\0a09:00 error\\1b[31m");
}

TEST_CASE("each end says who the other has proven to be") {
  World world;
  Listener listener =
      world.listen(world.identity("good") + "&client_ca=" + world.file("other.crt") + "&alpn=chess%2Cferry");
  Ends ends = connect(world, listener, world.trust("good") + "&" + world.identity("other"));
  const Identity server = identity_of(ends.client);
  CHECK(server.fingerprint == world.fingerprint("good"));
  CHECK(server.subject == "CN=localhost");
  CHECK(server.protocol == "ferry");
  CHECK(server.cipher == "TLS1.3 AES-128-GCM");
  CHECK(!server.certificate.empty());
  const Identity client = identity_of(ends.server);
  CHECK(client.fingerprint == world.fingerprint("other"));
  CHECK(client.subject == "CN=other.example");
  Listener open_to_all = world.listen(world.identity("good"));
  Ends others = connect(world, open_to_all, world.trust("good"));
  CHECK(identity_of(others.server).certificate.empty());
  CHECK(identity_of(others.server).subject.empty());
  ends.client.close();
  CHECK(identity_of(ends.server).fingerprint == world.fingerprint("other"));  // also when it is over
}

TEST_CASE("a session is resumed for the same server and rules, and only where nobody must prove who he is") {
  World world;
  const auto resumed = [&](Listener& listener, const std::string& options) {
    Ends ends = connect(world, listener, options);
    expect_echo(ends);  // the ticket comes with, or before, the server's first bytes
    const Identity server = identity_of(ends.client);
    CHECK(server.fingerprint == world.fingerprint("good"));
    CHECK(server.protocol == "ferry");
    CHECK(identity_of(ends.server).resumed == server.resumed);
    return server.resumed;
  };
  Listener listener = world.listen(world.identity("good"));
  const std::string trust = world.trust("good");
  CHECK_FALSE(resumed(listener, trust));
  CHECK(resumed(listener, trust));
  CHECK(resumed(listener, trust));
  CHECK_FALSE(resumed(listener, trust + "&resumption=false"));
  CHECK_FALSE(resumed(listener, trust + "&server_name=localhost"));
  CHECK_FALSE(resumed(listener, trust + "&pin=" + world.fingerprint("good")));
  CHECK_FALSE(resumed(listener, "insecure=true"));
  const Error wrong_pin = error_of(
      [&] { world.runtime().connect_stream(at(listener, trust + "&pin=" + world.fingerprint("other")), 10s); });
  CHECK(wrong_pin.status() == Status::authentication);
  CHECK(error_of([&] { listener.accept(10s); }).status() == Status::authentication);

  Listener never = world.listen(world.identity("good") + "&resumption=false");
  CHECK_FALSE(resumed(never, trust));
  CHECK_FALSE(resumed(never, trust));
  Listener mutual = world.listen(world.identity("good") + "&client_ca=" + world.file("other.crt"));
  CHECK_FALSE(resumed(mutual, trust + "&" + world.identity("other")));
  CHECK_FALSE(resumed(mutual, trust + "&" + world.identity("other")));
}

TEST_CASE("a chain that was found valid is so for the same name and CA only, and until it expires") {
  World world;
  const auto with = [](const std::string& trust) { return trust + "&resumption=false"; };
  const auto refusal = [&](const std::string& descriptor) {
    return std::string(error_of([&] { world.runtime().connect_stream(descriptor, 10s); }).what());
  };
  world.make_pair("named", {"localhost"}, 24h);
  Listener named = world.listen(world.identity("named"));
  const std::string by_address = at(named, with(world.trust("named")));
  std::string by_name = by_address;
  by_name.replace(by_name.find("127.0.0.1"), 9, "localhost");
  for (int i = 0; i < 2; ++i) {
    world.runtime().connect_stream(by_name, 10s).close();
    CHECK(refusal(by_address).find("not for '127.0.0.1'") != std::string::npos);
    CHECK(refusal(at(named, with(world.trust("other")))).find("issuer that is not trusted") != std::string::npos);
  }

  world.make_pair("brief", {"localhost", "127.0.0.1"}, 3s);
  Listener brief = world.listen(world.identity("brief"));
  const std::string client = at(brief, with(world.trust("brief")));
  const auto start = std::chrono::steady_clock::now();
  bool expired = false;
  for (int connects = 0; !expired && std::chrono::steady_clock::now() - start < 30s; ++connects) {
    try {
      world.runtime().connect_stream(client, 10s).close();
      std::this_thread::sleep_for(50ms);
    } catch (const Error& error) {
      CHECK(connects > 0);
      CHECK(std::string(error.what()).find("expired on") != std::string::npos);
      expired = true;
    }
  }
  CHECK(expired);
}

TEST_CASE("a host opens streams and datagrams, and learns the peer's codes") {
  World world;
  Listener listener = world.listen(world.identity("good"));
  Ends ends = connect(world, listener, world.trust("good"));
  CHECK(has_streams(ends.client));
  CHECK(error_of([&] { (void)open_stream(ends.client, 20ms); }).status() == Status::timed_out);
  Listener streams = listen_for_streams(ends.server);
  CHECK(error_of([&] { (void)listen_for_streams(ends.server); }).status() == Status::address_in_use);
  Ends more{open_stream(ends.client, 10s), streams.accept(10s)};
  expect_echo(more);
  CHECK(more.client.descriptor() == ends.client.descriptor());
  CHECK(peer_code(more.server, FERRY_READ) == std::nullopt);
  CHECK(reset_stream(more.client, 7) == Status::ok);
  std::byte byte{};
  CHECK(more.server.read({&byte, 1}, 10s).status == Status::reset);
  CHECK(peer_code(more.server, FERRY_READ) == 7);
  expect_echo(ends);

  Connection one = open_datagrams(ends.client);
  Connection other = open_datagrams(ends.server);
  CHECK(one.kind() == FERRY_RECORDS);
  CHECK(max_datagram(ends.client) >= 1100);
  const std::vector<std::byte> large(max_datagram(ends.client) + 1);
  CHECK(one.write(large, 1s).status == Status::too_large);
  std::vector<std::byte> got(2000);
  Status status = Status::timed_out;
  for (int attempt = 0; attempt < 50 && status != Status::ok; ++attempt) {
    CHECK(one.write({large.data(), 100}, 1s).status == Status::ok);
    status = other.read(got, 100ms).status;
  }
  CHECK(status == Status::ok);
}

TEST_CASE("streams and datagrams can be forbidden") {
  World world;
  Listener listener = world.listen(world.identity("good") + "&streams=0&datagrams=0");
  Ends ends = connect(world, listener, world.trust("good"));
  CHECK(error_of([&] { (void)listen_for_streams(ends.server); }).status() == Status::unsupported);
  CHECK(error_of([&] { (void)open_datagrams(ends.server); }).status() == Status::unsupported);
  CHECK(max_datagram(ends.client) == 0);
  Connection datagrams = open_datagrams(ends.client);
  std::byte byte{};
  CHECK(datagrams.write({&byte, 1}, 1s).status == Status::unsupported);
}

TEST_CASE("a client moves to another address while the connection lives, and its server follows") {
  World world;
  Listener listener = world.listen(world.identity("good"));
  Ends ends = connect(world, listener, world.trust("good"));
  const std::string before = current_path(ends.client).local_address;
  CHECK(before == std::string(ends.client.info().local_address));
  expect_echo(ends);
  move_to(ends.client, {}, 10s);
  const std::string after = current_path(ends.client).local_address;
  CHECK(after != before);
  expect_echo(ends);
  CHECK(std::string(current_path(ends.server).peer_address) == after);
  move_to(ends.client, "127.0.0.2:0", 10s);
  CHECK(std::string(current_path(ends.client).local_address).starts_with("127.0.0.2:"));
  expect_echo(ends);
  CHECK(std::string(ends.client.info().local_address) == before);  // what info says stays
  CHECK(error_of([&] { move_to(ends.client, "[::1]:0", 1s); }).status() == Status::invalid);
  CHECK(error_of([&] { move_to(ends.client, "192.0.2.1:0", 1s); }).status() == Status::not_found);
  CHECK(error_of([&] { move_to(ends.server, {}, 1s); }).status() == Status::unsupported);
  expect_echo(ends);
}

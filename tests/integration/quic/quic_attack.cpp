// Attacks a QUIC listener on loopback, as hosts do that follow no rules. Valid packets come from ngtcp2; forged frames
// take the place of its own just before they are encrypted. Prints as JSON what was sent, what the listener sent in
// return, and how connections ended: `closes` by the listener's error codes, `confused` where its answers to what was
// forged made no sense to our ngtcp2.
//   quic_attack PORT KIND COUNT [--alpn NAME]
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <system_error>
#include <vector>

#include "command_line.hpp"
#include "connection.hpp"
#include "ferry/sdk/unique_fd.hpp"

namespace ferry::attack {
namespace {

using bare_quic::Connection;
using Packet = std::vector<std::uint8_t>;

constexpr std::size_t max_packet_bytes = 1452;
constexpr std::uint32_t first_source = 0x7f000002;  // 127.0.0.2 and on: replies come back, to us alone
constexpr std::size_t sources = 32;
constexpr std::size_t frames_connections = 8;
constexpr int quiet_ms = 300;

std::mt19937_64 random_bits(1);

std::uint64_t below(std::uint64_t bound) {
  return std::uniform_int_distribution<std::uint64_t>(0, bound - 1)(random_bits);
}

int checked(int result, const char* call) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), call);
  return result;
}

sockaddr_in address_of(std::uint32_t host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(host);
  address.sin_port = htons(port);
  return address;
}

struct Socket {
  plugin::UniqueFd fd;
  sockaddr_in local{};
  sockaddr_in remote{};
};

Socket make_socket(std::uint32_t host, std::uint16_t port) {
  Socket made;
  made.fd = plugin::UniqueFd(checked(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
  made.local = address_of(host, 0);
  made.remote = address_of(INADDR_LOOPBACK, port);
  checked(::bind(made.fd.get(), reinterpret_cast<sockaddr*>(&made.local), sizeof(made.local)), "bind");
  if (port != 0)
    checked(::connect(made.fd.get(), reinterpret_cast<sockaddr*>(&made.remote), sizeof(made.remote)), "connect");
  socklen_t size = sizeof(made.local);
  checked(::getsockname(made.fd.get(), reinterpret_cast<sockaddr*>(&made.local), &size), "getsockname");
  return made;
}

std::vector<std::uint8_t> random_bytes(std::size_t size) {
  std::vector<std::uint8_t> bytes(size);
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random_bits());
  return bytes;
}

/// Frames that go out in place of ngtcp2's; empty while it may speak for itself. The frame after next is made anew.
using MakeFrame = std::function<Packet()>;
MakeFrame forge;
std::uint64_t forged_frames = 0;

Packet forged_payload(std::size_t size) {
  Packet payload;
  for (Packet frame = forge(); payload.size() + frame.size() <= size; frame = forge()) {
    payload.insert(payload.end(), frame.begin(), frame.end());
    ++forged_frames;
  }
  payload.resize(size);  // the rest is PADDING
  return payload;
}

/// While it holds, first packets have the middle of what a client says at first, and not its beginning.
bool late = false;

Packet late_payload(std::size_t size) {
  Packet payload = {0x06, 0x42, 0x58, 32};  // CRYPTO, 32 bytes at offset 600
  payload.resize(size);
  return payload;
}

struct Tally {
  std::uint64_t packets = 0, sent_bytes = 0, received_packets = 0, received_bytes = 0, retries = 0;
  std::uint64_t connections = 0, confused = 0;
  std::map<std::uint64_t, std::uint64_t> closes;  // by the error code
};

class Attacker {
 public:
  Attacker(std::uint16_t port, std::string alpn) : port_(port), credentials_(false, std::move(alpn)) {
    for (std::uint32_t i = 0; i < sources; ++i) sockets_.push_back(make_socket(first_source + i, port));
  }

  /// First packets of as many clients that are never heard of again.
  void initials(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) send(i, initial());
  }

  /// First packets that came too early, each of another client.
  void overtakers(std::uint64_t count) {
    late = true;
    initials(count);
  }

  /// Random bytes of random length: long and short headers, known and unknown versions.
  void garbage(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      Packet packet = random_bytes(1 + below(max_packet_bytes));
      if (packet.size() > 5 && i % 2 == 0) {
        packet[0] = static_cast<std::uint8_t>(0xc0 | packet[0]);
        const std::array<std::uint8_t, 4> version1{0, 0, 0, 1};
        if (i % 4 == 0) std::copy(version1.begin(), version1.end(), packet.begin() + 1);
      }
      send(i, packet);
    }
  }

  /// Packets of connections that the listener does not know: each may be answered by a stateless reset.
  void unknown(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      Packet packet = random_bytes(50);
      packet[0] = static_cast<std::uint8_t>(0x40 | (packet[0] & 0x3f));
      send(i, packet);
    }
  }

  /// One client's first packet over and over, whole, cut short or with one bit changed.
  void mutations(std::uint64_t count) {
    const Packet original = initial();
    for (std::uint64_t i = 0; i < count; ++i) {
      Packet packet = original;
      if (i % 3 == 1) packet.resize(1 + below(packet.size()));
      if (i % 3 == 2) packet[below(packet.size())] ^= static_cast<std::uint8_t>(1u << below(8));
      send(i % 4, packet);
    }
  }

  /// Frames after good handshakes, over several connections since each may send no more than its window; over as many
  /// as it takes where the listener ends those that go too far.
  void frames(std::uint64_t count, const MakeFrame& make) {
    while (forged_frames < count) {
      const std::uint64_t before = forged_frames;
      flood(std::min(count, before + count / frames_connections), make);
      if (forged_frames == before) throw std::runtime_error("the listener takes no frames any more");
    }
  }

  /// Streams of one byte that are reset at once, as many as the listener lets in.
  void rapid_resets(std::uint64_t count) {
    const Socket socket = next_socket();
    Connection connection(socket.fd.get(), socket.local, socket.remote, credentials_, nullptr);
    confirm(socket, connection);
    while (forged_frames < count && step(socket, connection)) {
      while (forged_frames < count && open_and_reset(socket, connection.get())) ++forged_frames;
    }
    note_end(connection);
  }

  /// Collects what is still coming until nothing has for a while.
  void settle() {
    std::vector<pollfd> fds;
    for (const Socket& socket : sockets_) fds.push_back({socket.fd.get(), POLLIN, 0});
    while (::poll(fds.data(), fds.size(), quiet_ms) > 0)
      for (const Socket& socket : sockets_) receive(socket, nullptr);
  }

  const Tally& tally() const { return tally_; }

 private:
  /// A good client's first packet: written to a socket of our own and read from there.
  Packet initial() {
    const Socket capture = make_socket(INADDR_LOOPBACK, 0);
    const Socket client = make_socket(INADDR_LOOPBACK, ntohs(capture.local.sin_port));
    Connection connection(client.fd.get(), client.local, client.remote, credentials_, nullptr);
    connection.write_packets();
    Packet packet(max_packet_bytes);
    packet.resize(static_cast<std::size_t>(
        checked(static_cast<int>(::recv(capture.fd.get(), packet.data(), packet.size(), 0)), "recv")));
    return packet;
  }

  void send(std::uint64_t source, const Packet& packet) {
    const Socket& from = sockets_[source % sockets_.size()];
    send(from, packet);
    receive(from, nullptr);
  }

  void send(const Socket& from, const Packet& packet) {
    while (::send(from.fd.get(), packet.data(), packet.size(), 0) < 0) {
      if (errno != EAGAIN) checked(-1, "send");
      pollfd writable{from.fd.get(), POLLOUT, 0};
      ::poll(&writable, 1, -1);
    }
    ++tally_.packets;
    tally_.sent_bytes += packet.size();
  }

  void receive(const Socket& socket, Connection* connection) {
    std::array<std::uint8_t, 65'536> buffer;
    for (;;) {
      const ssize_t got = ::recv(socket.fd.get(), buffer.data(), buffer.size(), 0);
      if (got < 0) return;
      ++tally_.received_packets;
      tally_.received_bytes += static_cast<std::uint64_t>(got);
      if ((buffer[0] & 0xf0) == 0xf0) ++tally_.retries;  // a long header of type 3 (RFC 9000, section 17.2)
      if (connection != nullptr && !connection->closed())
        connection->read_packet(buffer.data(), static_cast<std::size_t>(got));
    }
  }

  /// Carries a connection on; false when the listener has ended it or answers nothing any more.
  bool step(const Socket& socket, Connection& connection) {
    if (connection.closed()) return false;
    connection.handle_expiry();
    connection.write_packets();
    const std::uint64_t now = bare_quic::now_ns();
    const std::uint64_t left = connection.expiry() > now ? connection.expiry() - now : 0;
    pollfd readable{socket.fd.get(), POLLIN, 0};
    const int wait_ms = static_cast<int>(std::min<std::uint64_t>(left / 1'000'000 + 1, quiet_ms));
    const bool silent = ::poll(&readable, 1, wait_ms) == 0 && wait_ms == quiet_ms;
    receive(socket, &connection);
    return !silent;
  }

  Socket next_socket() {
    return make_socket(first_source + static_cast<std::uint32_t>(tally_.connections++ % sources), port_);
  }

  /// Goes on until the listener knows us, and has said what it allows.
  void confirm(const Socket& socket, Connection& connection) {
    while (!connection.handshake_confirmed())
      if (!step(socket, connection)) throw std::runtime_error("the listener ended the handshake");
  }

  void note_end(const Connection& connection) {
    if (!connection.closed()) return;
    ngtcp2_connection_close_error reason;
    ngtcp2_conn_get_connection_close_error(connection.get(), &reason);
    ++tally_.closes[reason.error_code];
  }

  void flood(std::uint64_t until, const MakeFrame& make) {
    const Socket socket = next_socket();
    Connection connection(socket.fd.get(), socket.local, socket.remote, credentials_, nullptr);
    confirm(socket, connection);
    connection.open_stream();
    connection.send(UINT32_MAX);
    forge = make;
    try {
      while (forged_frames < until && step(socket, connection)) {
      }
    } catch (const std::runtime_error&) {
      ++tally_.confused;
    }
    forge = nullptr;
    note_end(connection);
  }

  /// False: the listener allows no further stream for now.
  bool open_and_reset(const Socket& socket, ngtcp2_conn* connection) {
    std::int64_t id = -1;
    if (ngtcp2_conn_open_bidi_stream(connection, &id, nullptr) != 0) return false;
    std::uint8_t byte = 0;
    const ngtcp2_vec data{&byte, 1};
    ngtcp2_ssize taken = -1;
    Packet packet(max_packet_bytes);
    const ngtcp2_ssize size = ngtcp2_conn_writev_stream(connection, nullptr, nullptr, packet.data(), packet.size(),
                                                        &taken, 0, id, &data, 1, bare_quic::now_ns());
    if (size < 0) throw std::runtime_error(ngtcp2_strerror(static_cast<int>(size)));
    packet.resize(static_cast<std::size_t>(size));
    if (size > 0) send(socket, packet);
    return ngtcp2_conn_shutdown_stream_write(connection, id, 0) == 0;  // to be told with the next packet
  }

  std::uint16_t port_;
  bare_quic::Credentials credentials_;
  std::vector<Socket> sockets_;
  Tally tally_;
};

void append_varint(Packet& to, std::uint32_t value) {  // the four-byte form of RFC 9000, section 16
  for (int shift = 24; shift >= 0; shift -= 8)
    to.push_back(static_cast<std::uint8_t>((value >> shift) | (shift == 24 ? 0x80 : 0)));
}

Packet path_challenge() {
  Packet frame = random_bytes(9);
  frame[0] = 0x1a;
  return frame;
}

Packet new_connection_id() {            // each asks to retire all before it
  static std::uint32_t sequence = 100;  // those of our ngtcp2's own ids are below
  Packet frame = {0x18};
  append_varint(frame, sequence);
  append_varint(frame, sequence);
  ++sequence;
  frame.push_back(8);
  const Packet id_and_token = random_bytes(8 + NGTCP2_STATELESS_RESET_TOKENLEN);
  frame.insert(frame.end(), id_and_token.begin(), id_and_token.end());
  return frame;
}

Packet retire_connection_id() { return {0x19, 1}; }
Packet ping() { return {0x01}; }

Packet reset_stream() {  // of one that the listener does not allow
  Packet frame = {0x04};
  append_varint(frame, 1u << 20);
  frame.insert(frame.end(), {7, 0});
  return frame;
}

/// The first that is heard of stream 0 is that nothing shall come on it, and in the same packet that all is over.
Packet stop_and_close() {
  Packet frame = {0x05, 0};
  append_varint(frame, 4712);
  frame.insert(frame.end(), {0x1d, 0, 0});
  return frame;
}

int run(int argc, char** argv) {
  std::uint16_t port = 0;
  std::string kind, alpn = "ferry";
  std::uint64_t count = 0;
  const std::map<std::string, MakeFrame> frames = {{"path_challenge", path_challenge},
                                                   {"new_connection_id", new_connection_id},
                                                   {"retire_connection_id", retire_connection_id},
                                                   {"ping", ping},
                                                   {"reset_stream", reset_stream},
                                                   {"stop_and_close", stop_and_close}};
  const std::map<std::string, void (Attacker::*)(std::uint64_t)> packets = {
      {"initials", &Attacker::initials},   {"garbage", &Attacker::garbage},
      {"unknown", &Attacker::unknown},     {"overtakers", &Attacker::overtakers},
      {"mutations", &Attacker::mutations}, {"rapid_resets", &Attacker::rapid_resets}};
  host::Program program("Attacks a QUIC listener on loopback.");
  program.option("PORT", port).required();
  program.option("KIND", kind, "initials, overtakers, garbage, unknown, mutations, rapid_resets, or a frame's name")
      .required();
  program.option("COUNT", count, "Packets, streams or frames").required();
  program.option("--alpn", alpn).show_default();
  if (const auto code = program.parse(argc, argv)) return *code;
  Attacker attacker(port, alpn);
  if (const auto found = packets.find(kind); found != packets.end()) {
    (attacker.*found->second)(count);
  } else {
    attacker.frames(count, frames.at(kind));
  }
  attacker.settle();
  const Tally& tally = attacker.tally();
  std::string closes;
  for (const auto& [code, times] : tally.closes)
    closes += (closes.empty() ? "\"" : ", \"") + std::to_string(code) + "\": " + std::to_string(times);
  std::cout << "{\"packets\": " << tally.packets << ", \"sent_bytes\": " << tally.sent_bytes
            << ", \"frames\": " << forged_frames << ", \"received_packets\": " << tally.received_packets
            << ", \"received_bytes\": " << tally.received_bytes << ", \"retries\": " << tally.retries
            << ", \"connections\": " << tally.connections << ", \"confused\": " << tally.confused << ", \"closes\": {"
            << closes << "}}" << std::endl;
  return 0;
}

}  // namespace
}  // namespace ferry::attack

/// Stands in for the one of ngtcp2's helper library, in this program alone.
extern "C" int ngtcp2_crypto_encrypt_cb(std::uint8_t* dest, const ngtcp2_crypto_aead* aead,
                                        const ngtcp2_crypto_aead_ctx* context, const std::uint8_t* plaintext,
                                        std::size_t plaintext_size, const std::uint8_t* nonce, std::size_t nonce_size,
                                        const std::uint8_t* header, std::size_t header_size) {
  ferry::attack::Packet forged;
  const bool short_header = (header[0] & 0x80) == 0;
  if (short_header && ferry::attack::forge && plaintext_size > 100) {
    forged = ferry::attack::forged_payload(plaintext_size);
    plaintext = forged.data();
  } else if (!short_header && ferry::attack::late) {
    forged = ferry::attack::late_payload(plaintext_size);
    plaintext = forged.data();
  }
  const int result =
      ngtcp2_crypto_encrypt(dest, aead, context, plaintext, plaintext_size, nonce, nonce_size, header, header_size);
  return result == 0 ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

int main(int argc, char** argv) {
  try {
    return ferry::attack::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "quic_attack: " << error.what() << std::endl;
    return 1;
  }
}

// A UDP socket with what QUIC needs of Linux: batches both ways, segmentation offload, ECN, and no fragmentation.
//
// libuv's uv_udp was rejected: it has no control messages, without which there is neither offload nor ECN.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "ferry/sdk/resolve.hpp"
#include "ferry/sdk/unique_fd.hpp"

namespace ferry::quic {

using plugin::SocketAddress;

/// One datagram as it arrived, or one of those that the kernel had joined (GRO).
struct Packet {
  const SocketAddress& local;
  const SocketAddress& remote;
  std::uint8_t ecn;
  std::span<const std::uint8_t> bytes;
};

/// Who gets what a socket receives.
class PacketHandler {
 public:
  virtual void on_packet(const Packet& packet, std::uint64_t now) = 0;
  /// The path says no: ECONNREFUSED and its kin, on connected sockets only.
  virtual void on_socket_error(int error) = 0;
  /// The socket takes data again after send() said that it did not.
  virtual void on_writable() = 0;
  /// Whether the packets that were handled are likely to be followed by others at once.
  virtual bool expects_more() const noexcept { return false; }

 protected:
  ~PacketHandler() = default;
};

/// Room for one batch of received datagrams; one per engine serves all sockets.
class ReceiveBuffers;

class UdpSocket {
 public:
  /// Connected: packets of other addresses never reach it, and a closed port is reported. Throws plugin::Failure.
  static UdpSocket connected(const SocketAddress& remote) { return connected(remote, nullptr); }
  /// The same, from `local` where it is not null.
  static UdpSocket connected(const SocketAddress& remote, const SocketAddress* local);
  /// Bound. Throws plugin::Failure.
  static UdpSocket bound(const SocketAddress& local, bool dual_stack);

  int fd() const noexcept { return fd_.get(); }
  const SocketAddress& local() const noexcept { return local_; }
  /// What the kernel knows of the path's MTU, as the largest UDP payload; 0 when it does not.
  std::size_t known_max_payload() const noexcept;

  /// Receives what the kernel has, in at most `messages` (1…) that it may have joined packets to, and gives each packet
  /// to `handler`. Returns how many messages there were; fewer mean that the socket is empty now.
  std::size_t receive(ReceiveBuffers& buffers, PacketHandler& handler, std::uint64_t now,
                      std::size_t messages = SIZE_MAX) noexcept;

  /// A burst to one peer: datagrams of `segment` bytes each, but for the last, which may be shorter.
  struct Burst {
    const SocketAddress* local;   ///< source to use on a socket bound to every interface
    const SocketAddress* remote;  ///< null on a connected socket
    std::uint8_t ecn;
    std::size_t segment;
    std::span<const std::uint8_t> bytes;
  };
  /// Sends as much as the kernel takes. Returns the bytes sent or given up (a datagram that the path refuses is lost
  /// like any other); less than all of it means that the socket is full.
  std::size_t send(const Burst& burst) noexcept;

  /// What the path has said since, if anything, which receive() will then not report; 0: nothing.
  int take_pending_error() noexcept;
  /// The last error that a send met since the last call, which receive() will then not report; 0: none.
  int take_send_error() noexcept { return std::exchange(send_error_, 0); }

 private:
  UdpSocket(plugin::UniqueFd fd, int family, bool connected) noexcept;
  void set_options() noexcept;
  bool send_once(const Burst& burst, std::span<const std::uint8_t> bytes, int& error) noexcept;

  plugin::UniqueFd fd_;
  int family_;
  bool connected_;
  bool wildcard_ = false;  // bound to every interface: each datagram tells where it came in
  bool gso_ = false;
  int send_error_ = 0;
  SocketAddress local_;
};

class ReceiveBuffers {
 public:
  static constexpr std::size_t batch = 16;
  static constexpr std::size_t datagram_bytes = 65536;  // what GRO may join

  ReceiveBuffers();

 private:
  friend class UdpSocket;
  struct alignas(cmsghdr) Control {
    std::array<char, 128> bytes;
  };
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::array<mmsghdr, batch> messages_;
  std::array<iovec, batch> pieces_;
  std::array<Control, batch> controls_;
  std::array<SocketAddress, batch> from_;
};

/// Largest burst of one call: the kernel's limits on segments and on a UDP payload over IPv4.
inline constexpr std::size_t max_burst_segments = 64;
inline constexpr std::size_t max_burst_bytes = 65507;

}  // namespace ferry::quic

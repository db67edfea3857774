// Bytes that a stream has accepted arrive, also when the thread that wrote them has ended: a system cancels what such a
// thread has under way. Small buffers keep the writer at a full queue, and each piece comes from a thread of its own.
#include <doctest/doctest.h>

#include "ferry/sdk/pipe_acceptor.hpp"
#include "ferry/sdk/pipe_stream.hpp"
#include "ferry/sdk/socket_acceptor.hpp"
#include "ferry/sdk/socket_stream.hpp"

// after winsock2.h
#include <ws2tcpip.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace ferry::plugin;

constexpr int buffer_bytes = 8192;
constexpr std::uint64_t total = 512u << 10;
constexpr std::size_t piece_bytes = 16384;
constexpr int rounds = 8;
constexpr int connections = 3;

std::int64_t soon() { return monotonic_ns() + 10'000'000'000; }

struct Winsock {
  Winsock() { REQUIRE(::WSAStartup(MAKEWORD(2, 2), &data) == 0); }
  ~Winsock() { ::WSACleanup(); }
  WSADATA data;
};

std::pair<UniqueSocket, UniqueSocket> connected_sockets() {
  const UniqueSocket listener = open_stream_socket(AF_INET, IPPROTO_TCP);
  UniqueSocket client = open_stream_socket(AF_INET, IPPROTO_TCP);
  const auto* const size = reinterpret_cast<const char*>(&buffer_bytes);
  ::setsockopt(listener.get(), SOL_SOCKET, SO_RCVBUF, size, sizeof(buffer_bytes));
  ::setsockopt(client.get(), SOL_SOCKET, SO_SNDBUF, size, sizeof(buffer_bytes));
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  auto* const name = reinterpret_cast<sockaddr*>(&at);
  int length = sizeof(at);
  REQUIRE(::bind(listener.get(), name, length) == 0);
  REQUIRE(::listen(listener.get(), 1) == 0);
  REQUIRE(::getsockname(listener.get(), name, &length) == 0);
  REQUIRE(::connect(client.get(), name, length) == 0);
  return {std::move(client), UniqueSocket(::accept(listener.get(), nullptr, nullptr))};
}

std::pair<UniqueHandle, UniqueHandle> connected_pipes(int number) {
  const std::wstring name =
      L"\\\\.\\pipe\\ferry-stream-" + std::to_wstring(::GetCurrentProcessId()) + L"-" + std::to_wstring(number);
  PipeAcceptor acceptor(name, {buffer_bytes, false}, SecurityDescriptor(""));
  ferry_status why_not = FERRY_OK;
  UniqueHandle client = open_pipe(name, PipeServer::trusted, soon(), nullptr, why_not);
  UniqueHandle server = acceptor.accept(soon(), why_not);
  REQUIRE((client && server));
  return {std::move(client), std::move(server)};
}

/// Bytes that came out at `reader` of the `total` that threads of a piece each gave to `writer`.
template <class Stream>
std::uint64_t carried(Stream& writer, Stream& reader) {
  std::uint64_t received = 0;
  std::thread reading([&] {
    std::vector<std::byte> bytes(4096);
    while (received < total) {
      const std::int64_t count = reader.read(bytes.data(), bytes.size(), soon());
      if (count <= 0) break;
      received += static_cast<std::uint64_t>(count);
    }
    writer.interrupt();
  });
  const std::vector<std::byte> bytes(piece_bytes);
  for (std::uint64_t accepted = 0; accepted < total;) {
    std::int64_t count = 0;
    std::thread([&] {
      const ferry_iovec piece{bytes.data(), std::min<std::uint64_t>(bytes.size(), total - accepted)};
      count = writer.write(&piece, 1, 0, soon());
    }).join();
    if (count <= 0) break;
    accepted += static_cast<std::uint64_t>(count);
  }
  reading.join();
  return received;
}

/// Runs `carry(number)` for several connections side by side, each some times over; it returns the bytes carried.
template <class Carry>
void stress(Carry carry) {
  std::vector<std::uint64_t> sums(connections);
  std::vector<std::thread> threads;
  for (int i = 0; i < connections; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < rounds; ++round) sums[static_cast<std::size_t>(i)] += carry(i * rounds + round);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::uint64_t sum : sums) CHECK(sum == rounds * total);
}

}  // namespace

TEST_CASE("over a socket") {
  const Winsock winsock;
  stress([](int) {
    auto [client, server] = connected_sockets();
    SocketStream writer(std::move(client));
    SocketStream reader(std::move(server));
    return carried(writer, reader);
  });
}

TEST_CASE("over a pipe") {
  stress([](int number) {
    auto [client, server] = connected_pipes(number);
    PipeStream writer(std::move(client));
    PipeStream reader(std::move(server));
    return carried(writer, reader);
  });
}

TEST_CASE("finish over a socket is no success while the peer sends and has not all") {
  const Winsock winsock;
  auto [client, server] = connected_sockets();
  SocketStream one(std::move(client)), other(std::move(server));
  std::vector<std::byte> bytes(piece_bytes);
  const ferry_iovec piece{bytes.data(), bytes.size()};
  const auto fill = [&](SocketStream& stream) {
    std::int64_t filled = 0;
    for (std::int64_t count; (count = stream.write(&piece, 1, 0, monotonic_ns() + 50'000'000)) > 0;) filled += count;
    return filled;
  };
  const std::int64_t sent = fill(one);
  CHECK(fill(other) > 0);
  CHECK(one.finish(monotonic_ns() + 200'000'000) == FERRY_TIMED_OUT);
  std::int64_t received = 0;
  for (std::int64_t count; (count = other.read(bytes.data(), bytes.size(), soon())) > 0;) received += count;
  CHECK(received == sent);
  CHECK(other.shutdown_write() == FERRY_OK);
  CHECK(one.finish(soon()) == FERRY_OK);
}

// Peers that break every rule: false offers, memory that could be truncated, positions that cannot be, bytes that
// change under the reader. Whatever they do ends their own connection at worst.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "ferry/channel.hpp"
#include "ferry/sdk/passed_fds.hpp"
#include "ferry/sdk/poll_wait.hpp"
#include "ring.hpp"
#include "shm_test_support.hpp"

using namespace ferry;
using namespace ferry::test;
using namespace ferry::shm_spsc;
using plugin::UniqueFd;

namespace {

constexpr std::uint64_t ring_bytes = 64u << 10;

/// A client that has been accepted and maps everything, with the right to write everywhere.
class HostileClient {
 public:
  explicit HostileClient(const std::string& path) {
    REQUIRE(plugin::connect_unix(plugin::path_socket_address(path), path, soon(), nullptr, room_) == FERRY_OK);
    pollfd entry{room_.get(), POLLIN, 0};
    REQUIRE(plugin::poll_until(&entry, 1, soon()) == 1);
    std::array<std::byte, offer_bytes> bytes;
    iovec piece{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    plugin::ReceivedFds passed;
    passed.make_room(message);
    REQUIRE(::recvmsg(room_.get(), &message, MSG_CMSG_CLOEXEC) == offer_bytes);
    passed.take_from(message);
    REQUIRE(passed.count() == offer_descriptors);
    offer_ = read_offer(bytes);
    memory_ = passed.take(0);
    data_ = passed.take(1);
    void* const all = ::mmap(nullptr, offer_.segment, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0);
    REQUIRE(all != MAP_FAILED);
    bytes_ = static_cast<std::byte*>(all);
    if (offer_.asymmetric) REQUIRE(register_for_barriers());
  }
  HostileClient(const HostileClient&) = delete;
  HostileClient& operator=(const HostileClient&) = delete;
  ~HostileClient() { ::munmap(bytes_, offer_.segment); }

  const Offer& offer() const { return offer_; }
  int memory() const { return memory_.get(); }
  int data() const { return data_.get(); }
  std::byte* bytes() const { return bytes_; }
  std::byte* outgoing_bytes() const { return bytes_ + offer_.ring; }
  /// Of what the server sends, and of what it receives.
  RingControl& incoming() const { return reinterpret_cast<RingControl*>(bytes_ + 2 * offer_.ring)[0]; }
  RingControl& outgoing() const { return reinterpret_cast<RingControl*>(bytes_ + 2 * offer_.ring)[1]; }

 private:
  UniqueFd room_;
  UniqueFd data_;
  UniqueFd memory_;
  Offer offer_;
  std::byte* bytes_ = nullptr;
};

UniqueFd sealed_memory(std::uint64_t size, int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) {
  UniqueFd memory(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(::ftruncate(memory.get(), static_cast<off_t>(size)) == 0);
  REQUIRE(::fcntl(memory.get(), F_ADD_SEALS, seals) == 0);
  return memory;
}

/// What a connect says to a listener that sends `bytes` and `fds` to whoever comes.
Said connect_to_liar(std::span<const std::byte> bytes, const std::vector<std::int32_t>& fds) {
  const TemporaryDirectory directory;
  const std::string path = directory / "s";
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = plugin::path_socket_address(path);
  REQUIRE(::bind(listener.get(), address.get(), address.size) == 0);
  REQUIRE(::listen(listener.get(), 1) == 0);
  auto lying = std::async(std::launch::async, [&] {
    const UniqueFd client(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (bytes.empty()) return;
    iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    plugin::FdsToSend passed(fds.data(), static_cast<std::uint32_t>(fds.size()));
    passed.attach(message);
    CHECK(::sendmsg(client.get(), &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  });
  const RawTransport transport(ferry_plugin_v1);
  const int before = count_fds();
  Said said;
  CHECK_FALSE(transport.connect(path, {}, &said));
  lying.get();
  CHECK(count_fds() <= before);
  CHECK_FALSE(said.message.empty());
  return said;
}

/// A server's end and the client that is hostile to it.
struct Victim {
  RawConnection server;
  std::unique_ptr<HostileClient> client;
};
Victim victim_of(const RawListener& listener) {
  Victim victim;
  auto accepting = std::async(std::launch::async, [&] { return listener.accept(); });
  victim.client = std::make_unique<HostileClient>(listener.address());
  victim.server = accepting.get();
  REQUIRE(victim.server);
  return victim;
}

int duration_ms() {
  const char* const text = std::getenv("FERRY_FLIP_MS");
  return text == nullptr ? 1000 : std::atoi(text);
}

/// Answers each message with its first bytes until the connection is of no more use.
void echo(RawConnection connection) {
  ferry_connection* const raw = connection.release();
  Channel channel(Connection(raw, nullptr, Connection::Settings(), "victim"));
  Status status = Status::ok;
  while (status == Status::ok || status == Status::timed_out) {
    ConstBytes message;
    status = channel.receive_view(message, Deadline::at_ns(in_ms(5)));
    if (status != Status::ok) continue;
    status = channel.try_send(message.first(std::min<std::size_t>(message.size(), 1000)), Deadline::at_ns(in_ms(5)));
  }
}

/// Sends sound messages and flips bits anywhere, more often near the positions in use, until the victim has had enough.
void flip_bits(HostileClient& client, std::minstd_rand& random, const std::atomic<bool>& stop) {
  RingWriter<> writer(client.outgoing(), client.outgoing_bytes(), ring_bytes, client.offer().asymmetric);
  std::uint64_t near = 0;
  while (!stop && !hung_up(client.data())) {
    std::span<std::byte> room;
    // The ring is not mapped twice here: messages end at its end.
    if (near + 72 <= ring_bytes && writer.reserve(72, room) == RingStatus::ok) {
      std::memset(client.outgoing_bytes() + near, 0, 72);
      client.outgoing_bytes()[near + 7] = std::byte{64};
      writer.fill(72);
      if (writer.publish() == Wake::polling) (void)::send(client.data(), "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
      near += 72;
    }
    const std::uint64_t places[] = {2 * ring_bytes + random() % (2 * sizeof(RingControl)),
                                    ring_bytes + (near + random() % 72) % ring_bytes, random() % (2 * ring_bytes)};
    // Not an atomic access: the processor's, with no order.
    auto& byte = reinterpret_cast<volatile unsigned char&>(client.bytes()[places[random() % 3]]);
    byte = static_cast<unsigned char>(byte ^ 1u << random() % 8);
  }
}

}  // namespace

TEST_CASE("offers that are none, or too few, or too many descriptors, are refused") {
  Offer offer;
  offer.ring = ring_bytes;
  offer.segment = segment_bytes(ring_bytes, 4096);
  std::array<std::byte, offer_bytes> bytes;
  write_offer(offer, bytes);
  const UniqueFd memory = sealed_memory(offer.segment);
  const int fd = memory.get();
  CHECK(connect_to_liar({}, {}).status == FERRY_RESET);
  CHECK(connect_to_liar(std::span(bytes).first(63), {fd, fd}).status == FERRY_PROTOCOL);
  CHECK(connect_to_liar(bytes, {}).status == FERRY_PROTOCOL);
  CHECK(connect_to_liar(bytes, {fd}).status == FERRY_PROTOCOL);
  CHECK(connect_to_liar(bytes, {fd, fd, fd}).status == FERRY_PROTOCOL);
  CHECK(connect_to_liar(bytes, std::vector<std::int32_t>(FERRY_MAX_FDS, fd)).status == FERRY_PROTOCOL);
  CHECK(connect_to_liar(bytes, {fd, fd}).mentions("no socket"));
  bytes[8] = std::byte{9};
  CHECK(connect_to_liar(bytes, {fd, fd}).status == FERRY_UNSUPPORTED);
}

TEST_CASE("memory of the wrong kind, size or seals is not mapped") {
  Offer offer;
  offer.ring = ring_bytes;
  offer.segment = segment_bytes(ring_bytes, 4096);
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const UniqueFd one(ends[0]);
  const UniqueFd other(ends[1]);
  const auto refusal = [&](const UniqueFd& memory) {
    std::array<std::byte, offer_bytes> bytes;
    write_offer(offer, bytes);
    const Said said = connect_to_liar(bytes, {memory.get(), one.get()});
    return said.status == FERRY_PROTOCOL ? said.message : "status " + std::to_string(said.status) + said.message;
  };
  const TemporaryDirectory directory;
  const UniqueFd file(::open((directory / "f").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  REQUIRE(::ftruncate(file.get(), static_cast<off_t>(offer.segment)) == 0);
  const auto has = [](const std::string& text, const char* words) { return text.find(words) != std::string::npos; };
  CHECK(has(refusal(file), "memfd"));
  CHECK(has(refusal(one), "memfd"));
  CHECK(has(refusal(sealed_memory(offer.segment, F_SEAL_GROW | F_SEAL_SEAL)), "truncation"));
  CHECK(has(refusal(sealed_memory(offer.segment, F_SEAL_SHRINK | F_SEAL_SEAL)), "truncation"));
  CHECK(has(refusal(sealed_memory(offer.segment, F_SEAL_SHRINK | F_SEAL_GROW)), "truncation"));
  CHECK(has(refusal(sealed_memory(offer.segment - 4096)), "bytes and not"));
  CHECK(has(refusal(sealed_memory(offer.segment + 4096)), "bytes and not"));
  const UniqueFd unwritable =
      sealed_memory(offer.segment, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | F_SEAL_FUTURE_WRITE);
  CHECK(has(refusal(unwritable), "mapping shared memory"));
  offer.huge = true;
  CHECK(has(refusal(sealed_memory(offer.segment)), "another kind"));
}

TEST_CASE("the memory cannot be truncated, and pages that are taken out of it come back as zeros") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"ring", "64KiB"}});
  const Victim victim = victim_of(listener);
  const int memory = victim.client->memory();
  for (const std::uint64_t size : {std::uint64_t{0}, ring_bytes, victim.client->offer().segment + 4096}) {
    CHECK(::ftruncate(memory, static_cast<off_t>(size)) != 0);
    CHECK(errno == EPERM);
  }
  CHECK(::fcntl(memory, F_ADD_SEALS, F_SEAL_FUTURE_WRITE) != 0);
  CHECK(victim.server.write("abc") == 3);
  CHECK(::fallocate(memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                    static_cast<off_t>(victim.client->offer().segment)) == 0);
  CHECK(victim.server.write("def") == 3);
  CHECK(std::memcmp(victim.client->bytes(), "\0\0\0def", 6) == 0);
}

TEST_CASE("positions that cannot be end the connection, and no other") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"ring", "64KiB"}});
  const RawPair honest = shm_pair(transport, listener);
  const std::string full(ring_bytes, 'x');
  std::vector<char> bytes(2 * ring_bytes);
  for (const std::uint64_t wild : {ring_bytes + 1, 2 * ring_bytes, std::uint64_t{1} << 31, std::uint64_t{1} << 63,
                                   ~std::uint64_t{0}, ~std::uint64_t{0} - ring_bytes}) {
    CAPTURE(wild);
    const Victim victim = victim_of(listener);
    victim.client->outgoing().tail.store(wild);
    for (int again = 0; again < 2; ++again) {
      CHECK(victim.server.read(bytes.data(), bytes.size(), in_ms(200)) == FERRY_PROTOCOL);
      CHECK(victim.server.write("x") == FERRY_RESET);
      victim.client->outgoing().tail.store(0);  // too late: trust is gone
    }
    const Victim writer = victim_of(listener);
    CHECK(writer.server.write(full) == static_cast<std::int64_t>(ring_bytes));
    writer.client->incoming().head.store(wild);
    CHECK(writer.server.write("x", in_ms(200)) == FERRY_RESET);
    CHECK(writer.server.write("x") == FERRY_RESET);
    CHECK(honest.client.write("hello") == 5);
    CHECK(honest.server.read(bytes.data(), bytes.size()) == 5);
  }
  // A head or tail that moves backwards, though it stays within the ring.
  const Victim victim = victim_of(listener);
  victim.client->outgoing().tail.store(100);
  CHECK(victim.server.read(bytes.data(), 50) == 50);
  victim.client->outgoing().tail.store(10);
  CHECK(victim.server.read(bytes.data(), 50) == 50);
  CHECK(victim.server.read(bytes.data(), 50, in_ms(200)) == FERRY_PROTOCOL);
}

TEST_CASE("sleepers that lie and signals that nobody takes cannot hold up a writer") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"ring", "64KiB"}});
  const Victim victim = victim_of(listener);
  RingControl& incoming = victim.client->incoming();
  const std::int64_t start = monotonic_now_ns();
  for (std::uint32_t i = 0; i < 20'000; ++i) {  // more signals than any socket holds
    incoming.head.store(incoming.tail.load());
    incoming.reader.position.store(0);
    incoming.reader.kind.store(i % 64 == 0 ? i : static_cast<std::uint32_t>(Wake::polling));
    REQUIRE(victim.server.write("12345678", FERRY_NO_WAIT) == 8);
  }
  CHECK(monotonic_now_ns() - start < 10'000'000'000);
}

TEST_CASE("bits flipped anywhere during traffic crash nobody and disturb no other connection") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"ring", "64KiB"}});
  const RawPair honest = shm_pair(transport, listener);
  std::atomic<bool> stop{false};
  std::thread neighbour([&] {
    const std::string sent(1024, 'h');  // divides the ring: always written whole
    std::string got(1024, '\0');
    while (!stop) {
      CHECK(honest.client.write(sent) == 1024);
      CHECK(honest.server.read(got.data(), got.size()) == 1024);
      CHECK(got == sent);
      std::this_thread::yield();
    }
  });
  std::minstd_rand random(42);
  int connections = 0;
  const std::int64_t end = in_ms(duration_ms());
  std::thread watch([&] {
    while (monotonic_now_ns() < end) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    stop = true;
  });
  for (; !stop; ++connections) {
    Victim victim = victim_of(listener);
    std::thread server([&] { echo(std::move(victim.server)); });
    flip_bits(*victim.client, random, stop);
    victim.client.reset();  // a flip can also make the victim wait for ever: for bytes that were never promised
    server.join();
  }
  watch.join();
  neighbour.join();
  MESSAGE("hostile connections: " << connections);
  CHECK(connections > 0);
}

// The shm transport through its ABI tables: addresses, handshake, waiting, lending, pages.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <cstring>
#include <string>
#include <thread>

#include "ferry/channel.hpp"
#include "shm_address.hpp"
#include "shm_options.hpp"
#include "shm_test_support.hpp"

using namespace ferry;
using namespace ferry::test;
using namespace ferry::shm_spsc;

namespace {

std::string parse_failure(std::string_view text) {
  try {
    (void)parse_address(text);
    return "accepted";
  } catch (const plugin::Failure& failure) {
    CHECK(failure.status() == FERRY_INVALID);
    return failure.what();
  }
}

ferry_value effective_value(const RawConnection& connection, std::uint32_t index) {
  std::array<ferry_value, common_option_count> values{};
  REQUIRE(connection.get()->ops->effective(connection.get(), values.data(), common_option_count) == FERRY_OK);
  return values[index];
}

void write_some(const RawConnection& to, std::uint32_t pieces, std::uint32_t flags) {
  const std::string text(56, 'x');
  std::array<ferry_iovec, FERRY_MAX_IOVECS> list;
  list.fill({text.data(), text.size()});
  REQUIRE(to.get()->ops->write(to.get(), list.data(), pieces, flags, FERRY_NO_WAIT) == 56 * pieces);
}

/// Until the connection's reader has announced its sleep for the `count`th time.
void until_read_sleeps(const RawConnection& connection, std::int64_t count) {
  while (figure(connection, "read_sleeps") < count) std::this_thread::yield();
}

}  // namespace

TEST_CASE("addresses are names or paths") {
  CHECK(parse_address("engine").named);
  CHECK_FALSE(parse_address("/run/x.shm").named);
  CHECK_FALSE(parse_address("./x.shm").named);
  CHECK(socket_path(parse_address("engine"), "/run/user/7/ferry", "/home") == "/run/user/7/ferry/engine.shm");
  CHECK(socket_path(parse_address("/run/x.shm"), "", "/home") == "/run/x.shm");
  CHECK(socket_path(parse_address("./x.shm"), "", "/home") == "/home/x.shm");
  CHECK(parse_failure("").find("empty") != std::string::npos);
  CHECK(parse_failure(".hidden").find("does not start with '.'") != std::string::npos);
  CHECK(parse_failure("a b").find("letters") != std::string::npos);
  CHECK(parse_failure(std::string(64, 'n')) == "accepted");
  CHECK(parse_failure(std::string(65, 'n')).find("65 bytes") != std::string::npos);
  CHECK(parse_failure("/run/").find("needs a name") != std::string::npos);
}

TEST_CASE("a name is met in the run-time directory of the user") {
  const TemporaryDirectory directory;
  ::setenv("XDG_RUNTIME_DIR", directory.path().c_str(), 1);
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen("engine");
  CHECK(listener.address() == "engine");
  CHECK(std::filesystem::is_socket(directory / "ferry/engine.shm"));
  const RawPair pair = shm_pair(transport, listener);
  CHECK(pair.client.write("hello") == 5);
  ::unsetenv("XDG_RUNTIME_DIR");
}

TEST_CASE("offers survive their bytes, and unsound ones are refused with a reason") {
  Offer offer;
  offer.asymmetric = true;
  offer.ring = 1u << 20;
  offer.segment = segment_bytes(offer.ring, 4096);
  std::array<std::byte, offer_bytes> bytes;
  write_offer(offer, bytes);
  const Offer read = read_offer(bytes);
  CHECK(read.asymmetric);
  CHECK_FALSE(read.huge);
  CHECK(read.ring == offer.ring);
  CHECK(read.segment == (2u << 20) + 4096);
  const auto refusal = [&](std::size_t at, int value, std::size_t size = offer_bytes) {
    auto changed = bytes;
    changed[at] = static_cast<std::byte>(value);
    try {
      (void)read_offer(std::span(changed).first(size));
      return std::string("accepted");
    } catch (const plugin::Failure& failure) {
      return std::to_string(failure.status()) + " " + failure.what();
    }
  };
  CHECK(refusal(0, 'f').starts_with(std::to_string(FERRY_PROTOCOL)));
  CHECK(refusal(0, 'F', offer_bytes - 1).starts_with(std::to_string(FERRY_PROTOCOL)));
  CHECK(refusal(8, 2).starts_with(std::to_string(FERRY_UNSUPPORTED) + " the listener speaks version 2"));
  CHECK(refusal(12, 3).find("verdict 3") != std::string::npos);
  for (const std::size_t at : {20u, 24u, 27u, 31u, 38u}) {
    CHECK(refusal(at, 0x81).starts_with(std::to_string(FERRY_PROTOCOL)) == (at != 38));
  }
}

TEST_CASE("a client that no allow-list admits is told so, and the listener goes on") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"allow_uid", "54321"}});
  auto accepting = std::async(std::launch::async, [&] {
    Said said;
    CHECK_FALSE(listener.accept(soon(), &said));
    return said;
  });
  Said said;
  CHECK_FALSE(transport.connect(listener.address(), {}, &said));
  CHECK(said.status == FERRY_PERMISSION);
  CHECK(said.mentions("allow_uid"));
  CHECK(accepting.get().status == FERRY_PERMISSION);
  CHECK(transport.logged(FERRY_LOG_PEER_MISBEHAVING) == 1);
  const OptionValues values = transport.resolve({{"allow_uid", "any"}});
  const ferry_values passed = values.abi();
  CHECK(listener.get()->ops->reconfigure(listener.get(), &passed, nullptr) == FERRY_OK);
  const RawPair pair = shm_pair(transport, listener);
  ferry_credentials who{sizeof(ferry_credentials), 0, 0, 0, 0};
  CHECK(pair.server.extension<ferry_peer>(FERRY_EXT_PEER)->credentials(pair.server.get(), &who) == FERRY_OK);
  CHECK(who.pid == ::getpid());
}

TEST_CASE("without the memory for a connection both ends are told, and nothing is killed") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s");
  const int before = fds_after_sleep(listener);
  rlimit unlimited{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &unlimited) == 0);
  const rlimit small{1u << 20, unlimited.rlim_max};  // what fallocate may take; the rest of memory is everybody's
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  auto accepting = std::async(std::launch::async, [&] {
    Said said;
    CHECK_FALSE(listener.accept(soon(), &said));
    return said;
  });
  Said said;
  CHECK_FALSE(transport.connect(listener.address(), {}, &said));
  const Said accepted = accepting.get();
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &unlimited) == 0);
  CHECK(said.status == FERRY_NO_RESOURCES);
  CHECK(accepted.status == FERRY_NO_RESOURCES);
  CHECK(accepted.mentions("lower option ring"));
  CHECK(count_fds() == before);
  const RawPair pair = shm_pair(transport, listener);
}

TEST_CASE("clients that gave up in the queue cost no memory and are passed over") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s");
  for (int i = 0; i < 5; ++i) {
    Said said;
    CHECK_FALSE(transport.connect(listener.address(), {}, &said, i % 2 == 0 ? FERRY_NO_WAIT : in_ms(1)));
    CHECK(said.status == (i % 2 == 0 ? FERRY_WOULD_BLOCK : FERRY_TIMED_OUT));
  }
  const RawPair pair = shm_pair(transport, listener);
  CHECK(pair.client.write("x") == 1);
  char byte = 0;
  CHECK(pair.server.read(&byte, 1) == 1);
  Said said;
  CHECK_FALSE(listener.accept(FERRY_NO_WAIT, &said));
  CHECK(said.status == FERRY_WOULD_BLOCK);
}

TEST_CASE("a batch of sixteen is one publish and at most one wake-up, and held back bytes come with the next") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s");
  const RawPair pair = shm_pair(transport, listener);
  write_some(pair.client, 16, 0);
  CHECK(figure(pair.client, "writes") == 1);
  CHECK(figure(pair.client, "readers_woken") == 0);  // nobody sleeps
  std::array<char, 4096> bytes;
  CHECK(pair.server.read(bytes.data(), bytes.size()) == 16 * 56);

  std::int64_t got = 0;
  std::thread reader([&] { got = pair.server.read(bytes.data(), bytes.size()); });
  until_read_sleeps(pair.server, 1);
  for (int i = 0; i < 15; ++i) write_some(pair.client, 1, FERRY_WRITE_MORE);
  CHECK(figure(pair.client, "writes") == 1);
  write_some(pair.client, 1, 0);
  reader.join();
  CHECK(got == 16 * 56);
  CHECK(figure(pair.client, "writes") == 2);
  CHECK(figure(pair.client, "readers_woken") == 1);
}

TEST_CASE("a Channel's send_many of sixteen is one publish and one wake-up, and arrives as views of the ring") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s");
  RawPair pair = shm_pair(transport, listener);
  const Connection::Settings asleep{.wait = WaitPolicy(WaitPolicy::Mode::off, 0)};
  Channel sender(Connection(pair.client.release(), nullptr, asleep, "sender"));
  Channel receiver(Connection(pair.server.release(), nullptr, asleep, "receiver"));
  const auto figure_of = [](Channel& channel, const char* name) {
    RawConnection borrowed(channel.connection().raw());
    const std::int64_t value = figure(borrowed, name);
    (void)borrowed.release();
    return value;
  };

  std::array<ConstBytes, 16> got;
  std::size_t received = 0;
  std::thread reader([&] { CHECK(receiver.receive_many(got, received) == Status::ok); });
  while (figure_of(receiver, "read_sleeps") == 0) std::this_thread::yield();
  const std::array<std::byte, 64> message{};
  std::array<ConstBytes, 16> batch;
  batch.fill(message);
  std::size_t sent = 0;
  CHECK(sender.send_many(batch, sent) == Status::ok);
  reader.join();
  CHECK(sent == 16);
  CHECK(received == 16);
  for (std::size_t i = 1; i < received; ++i) CHECK(got[i].data() - got[i - 1].data() == 8 + 64);
  CHECK(reinterpret_cast<std::uintptr_t>(got[0].data()) % 8 == 0);
  CHECK(figure_of(sender, "writes") == 1);
  CHECK(figure_of(sender, "readers_woken") == 1);
}

TEST_CASE("messages of every size arrive whole, sent one by one and together") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"ring", "64KiB"}});
  RawPair pair = shm_pair(transport, listener);
  Channel sender(Connection(pair.client.release(), nullptr, {}, "sender"));
  Channel receiver(Connection(pair.server.release(), nullptr, {}, "receiver"));
  std::size_t wrong = 0;
  for (std::size_t round = 0; round < 4; ++round) {  // round the ring
    for (std::size_t size = 0; size < 300; ++size) {
      const std::string text(size, static_cast<char>('a' + (size + round) % 26));
      sender.send(text);
      const std::array<ConstBytes, 3> three{std::as_bytes(std::span(text)), {}, std::as_bytes(std::span(text))};
      std::size_t sent = 0;
      CHECK(sender.send_many(three, sent) == Status::ok);
      for (const std::string& expected : {text, text, std::string(), text})
        if (receiver.receive_text() != expected) ++wrong;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("what is held back is shown to the reader when the ring is full, and when the writer arms") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"ring", "64KiB"}});
  const RawPair pair = shm_pair(transport, listener);
  const std::string text(60000, 'x');
  const ferry_iovec piece{text.data(), text.size()};
  ferry_connection* const client = pair.client.get();
  CHECK(client->ops->write(client, &piece, 1, 0, FERRY_NO_WAIT) == 60000);
  CHECK(client->ops->write(client, &piece, 1, FERRY_WRITE_MORE, FERRY_NO_WAIT) == 65536 - 60000);
  CHECK(figure(pair.client, "writes") == 1);
  CHECK(client->ops->arm(client, FERRY_WRITE) == FERRY_ARMED);
  std::array<char, 65536> bytes;
  CHECK(pair.server.read(bytes.data(), bytes.size(), FERRY_NO_WAIT) == 65536);
  ferry_pollable pollable{};
  CHECK(client->ops->pollable(client, FERRY_WRITE, &pollable) == FERRY_OK);
  pollfd entry{static_cast<int>(pollable.handle), POLLIN, 0};
  CHECK(::poll(&entry, 1, 5000) == 1);
}

TEST_CASE("after the nap a blocked reader and writer are woken by bytes, by room and by an interrupt") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"ring", "64KiB"}});
  const RawPair pair = shm_pair(transport, listener);
  const std::string full(65536, 'x');
  std::string got(full.size(), '\0');
  const auto read_all = [&] {
    std::size_t size = 0;
    while (size < got.size()) size += static_cast<std::size_t>(pair.server.read(got.data(), got.size() - size));
  };
  {
    test::Sleeper reader([&] { CHECK(pair.server.read(got.data(), 1) == 1); });
    reader.until_asleep();  // in ppoll, which comes after the nap
    CHECK(pair.client.write("x") == 1);
  }
  CHECK(pair.client.write_all(full) == FERRY_OK);
  {
    test::Sleeper writer([&] { CHECK(pair.client.write("y") == 1); });
    writer.until_asleep();
    read_all();
  }
  CHECK(pair.server.read(got.data(), 1) == 1);
  CHECK(pair.client.write_all(full) == FERRY_OK);
  {
    test::Sleeper reader([&] { CHECK(pair.client.read(got.data(), 1, FERRY_FOREVER) == FERRY_INTERRUPTED); });
    test::Sleeper writer([&] { CHECK(pair.client.write("z", FERRY_FOREVER) == FERRY_INTERRUPTED); });
    reader.until_asleep();
    writer.until_asleep();
    pair.client.interrupt();
  }
  read_all();
  CHECK(pair.client.write("still") == 5);
}

TEST_CASE("who waits for a large message sleeps for a part of it at a time") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s");
  const RawPair pair = shm_pair(transport, listener);
  const std::string part(64u << 10, 'p');
  std::uint64_t size = 0;
  std::thread reader([&] {
    const void* view = nullptr;
    const auto* lend = pair.server.extension<ferry_lend>(FERRY_EXT_LEND);
    CHECK(lend->peek(pair.server.get(), 5 * part.size(), &view, &size, soon()) == FERRY_OK);
  });
  until_read_sleeps(pair.server, 1);
  CHECK(pair.client.write_all(part) == FERRY_OK);
  CHECK(figure(pair.client, "readers_woken") == 0);
  CHECK(pair.client.write_all(part) == FERRY_OK);
  CHECK(figure(pair.client, "readers_woken") == 1);
  until_read_sleeps(pair.server, 2);
  for (int i = 0; i < 3; ++i) CHECK(pair.client.write_all(part) == FERRY_OK);
  reader.join();
  CHECK(size == 5 * part.size());
}

TEST_CASE("views run on over the ring's end, up to their limit") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"ring", "100000B"}});
  const RawPair pair = shm_pair(transport, listener);
  CHECK(effective_value(pair.client, option_ring).integer == 131072);
  ferry_connection_info info{};
  info.struct_size = sizeof(info);
  CHECK(pair.client.get()->ops->info(pair.client.get(), &info) == FERRY_OK);
  CHECK(info.frame_alignment == 8);
  const auto* lend = pair.client.extension<ferry_lend>(FERRY_EXT_LEND);
  for (std::uint64_t round = 0; round < 20; ++round) {
    void* room = nullptr;
    std::uint64_t size = 0;
    CHECK(lend->reserve(pair.client.get(), info.max_view, &room, &size, FERRY_NO_WAIT) == FERRY_OK);
    REQUIRE(size >= info.max_view);
    std::memset(room, static_cast<int>(round), 50000);
    CHECK(lend->commit(pair.client.get(), 50000, 0) == FERRY_OK);
    const void* view = nullptr;
    CHECK(lend->peek(pair.server.get(), 50000, &view, &size, FERRY_NO_WAIT) == FERRY_OK);
    REQUIRE(size == 50000);
    const std::string expected(50000, static_cast<char>(round));
    CHECK(std::memcmp(view, expected.data(), 50000) == 0);
    lend->consume(pair.server.get(), 50000);
  }
  const void* view = nullptr;
  std::uint64_t size = 0;
  CHECK(lend->peek(pair.server.get(), info.max_view + 1, &view, &size, FERRY_NO_WAIT) == FERRY_TOO_LARGE);
}

TEST_CASE("pages are as asked for, or said not to be") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  for (const char* pages : {"normal", "transparent", "huge"}) {
    CAPTURE(pages);
    const RawListener listener =
        transport.listen(directory / "s", {{"pages", pages}, {"pretouch", "true"}, {"mlock", "true"}});
    const RawPair pair = shm_pair(transport, listener, {{"pages", pages}});
    const std::string granted = effective_value(pair.server, option_pages).text;
    CHECK((granted == pages || granted == "normal"));
    CHECK(effective_value(pair.server, option_pretouch).integer == 1);
    CHECK(effective_value(pair.client, option_pretouch).integer == 0);
    const std::string all(1u << 20, 'p');
    CHECK(pair.client.write_all(all) == FERRY_OK);
    std::string got(all.size(), '\0');
    CHECK(pair.server.read(got.data(), got.size()) == static_cast<std::int64_t>(all.size()));
    CHECK(got == all);
  }
}

TEST_CASE("connections leave no descriptor and no mapping behind") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"ring", "64KiB"}});
  const auto mappings = [] {
    std::ifstream file("/proc/self/maps");
    int count = 0;
    for (std::string line; std::getline(file, line);) count += line.find("ferry-shm") != std::string::npos ? 1 : 0;
    return count;
  };
  const int before = fds_after_sleep(listener);
  for (int round = 0; round < 20; ++round) {
    RawPair pair = shm_pair(transport, listener);
    CHECK(mappings() == 10);
    if (round % 2 == 0) pair.client.abort();
  }
  CHECK(count_fds() == before);
  CHECK(mappings() == 0);
}

TEST_CASE("a killed peer is noticed within 100 ms by a blocked reader and writer, at once by an event loop") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"ring", "64KiB"}});
  for (const int asleep_ms : {5, 70}) {  // in the nap, and after it
    CAPTURE(asleep_ms);
    Child child([&] {
      const Link link = dial_link(listener.address());
      ::pause();
    });
    const RawConnection server = listener.accept();
    CHECK(server.write(std::string(65536, 'x')) == 65536);
    char byte = 0;
    std::int64_t read = 0;
    std::int64_t written = 0;
    std::int64_t read_ns = 0;
    std::int64_t written_ns = 0;
    std::thread reader([&] { read = server.read(&byte, 1), read_ns = monotonic_now_ns(); });
    std::thread writer([&] { written = server.write("x"), written_ns = monotonic_now_ns(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(asleep_ms));
    const std::int64_t killed_ns = monotonic_now_ns();
    child.kill();
    reader.join();
    writer.join();
    CHECK(read == FERRY_RESET);
    CHECK(written == FERRY_RESET);
    CHECK((read_ns - killed_ns) / 1'000'000 < 100);
    CHECK((written_ns - killed_ns) / 1'000'000 < 100);
  }
  Child child([&] {
    const Link link = dial_link(listener.address());
    ::pause();
  });
  const RawConnection server = listener.accept();
  ferry_connection* const raw = server.get();
  CHECK(raw->ops->arm(raw, FERRY_READ) == FERRY_ARMED);
  child.kill();
  ferry_pollable pollable{};
  CHECK(raw->ops->pollable(raw, FERRY_READ, &pollable) == FERRY_OK);
  pollfd entry{static_cast<int>(pollable.handle), POLLIN, 0};
  CHECK(::poll(&entry, 1, 5000) == 1);
  CHECK(raw->ops->arm(raw, FERRY_READ) == FERRY_READY);
  char byte = 0;
  CHECK(server.read(&byte, 1, FERRY_NO_WAIT) == FERRY_RESET);
  CHECK(raw->ops->arm(raw, FERRY_WRITE) == FERRY_READY);
  CHECK(server.write("x", FERRY_NO_WAIT) == FERRY_RESET);
}

TEST_CASE("one that only tries notices a killed peer as well") {
  const TemporaryDirectory directory;
  const RawTransport transport(ferry_plugin_v1);
  const RawListener listener = transport.listen(directory / "s", {{"ring", "64KiB"}});
  const std::string full(65536, 'x');
  const auto read = [](const RawConnection& server) {
    char byte = 0;
    return server.read(&byte, 1, FERRY_NO_WAIT);
  };
  const auto peek = [](const RawConnection& server) -> std::int64_t {
    const void* view = nullptr;
    std::uint64_t size = 0;
    return server.extension<ferry_lend>(FERRY_EXT_LEND)->peek(server.get(), 1, &view, &size, FERRY_NO_WAIT);
  };
  const auto write = [&](const RawConnection& server) { return server.write(full, FERRY_NO_WAIT); };
  const auto reserve = [&](const RawConnection& server) -> std::int64_t {
    void* room = nullptr;
    std::uint64_t size = 0;
    return server.extension<ferry_lend>(FERRY_EXT_LEND)->reserve(server.get(), 1, &room, &size, FERRY_NO_WAIT);
  };
  const std::function<std::int64_t(const RawConnection&)> all_tries[] = {read, peek, write, reserve};
  for (const auto& attempt : all_tries) {
    Child child([&] {
      const Link link = dial_link(listener.address());
      ::pause();
    });
    const RawConnection server = listener.accept();
    CHECK(server.write(full, FERRY_NO_WAIT) == 65536);
    child.kill();
    std::int64_t status = FERRY_WOULD_BLOCK;
    for (int tries = 0; status == FERRY_WOULD_BLOCK; ++tries) {
      REQUIRE(tries <= 5000);
      status = attempt(server);
    }
    CHECK(status == FERRY_RESET);
  }
}

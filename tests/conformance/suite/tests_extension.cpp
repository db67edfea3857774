// Extensions: those that a plugin advertises keep their contracts.
#include <algorithm>
#include <fstream>
#include <future>
#include <string_view>
#include <thread>

#include "flow.hpp"
#include "suite.hpp"
#include "usage.hpp"
#include "wait.hpp"

namespace ferry::conformance {
namespace {

void lent_reads(Context& context) {
  Pair pair = context.pair();
  const auto* lend = pair.server.extension_as<ferry_lend>(FERRY_EXT_LEND);
  ferry_connection* const server = pair.server.get();
  const void* view = nullptr;
  std::uint64_t size = 0;
  const auto peek = [&](std::uint64_t minimum, std::int64_t deadline) {
    const CallMark mark(Call::peek);
    return lend->peek(server, minimum, &view, &size, deadline);
  };
  expect(peek(1, FERRY_NO_WAIT), {FERRY_WOULD_BLOCK}, "peek of nothing");
  expect_deadlines("peek", [&](std::int64_t deadline) { return std::int64_t{peek(1, deadline)}; });
  const std::uint64_t most = std::min<std::uint64_t>(pair.server.info().max_view, 1u << 20);
  const std::uint64_t total = most * 3 + 5;
  auto writing = std::async(std::launch::async, [&] {
    send_flow(pair.client, total);
    static_cast<void>(pair.client.finish(soon()));
  });
  std::uint64_t position = 0;
  for (std::uint64_t minimum : {std::uint64_t{1}, std::uint64_t{7}, most / 2, most}) {
    minimum = std::max<std::uint64_t>(1, std::min(minimum, total - position));
    expect(peek(minimum, soon()), {FERRY_OK}, concat("peek of ", minimum, " bytes"));
    require(size >= minimum, "peek of ", minimum, " bytes lent ", size);
    const std::uint64_t take = std::min<std::uint64_t>(size, (minimum + 1) / 2);
    check({static_cast<const std::uint8_t*>(view), static_cast<std::size_t>(size)}, position);
    const CallMark mark(Call::consume);
    lend->consume(server, take);
    position += take;
  }
  expect_flow(pair.server, total - position - 2, position);
  expect(peek(3, soon()), {FERRY_END}, "peek of more than remains before the end");
  expect(peek(2, soon()), {FERRY_OK}, "peek of what remains before the end");
  check({static_cast<const std::uint8_t*>(view), 2}, total - 2);
  lend->consume(server, 2);
  expect(peek(1, soon()), {FERRY_END}, "peek at the end");
  pair.server.close();
  writing.get();
}

void lent_writes(Context& context) {
  Pair pair = context.pair();
  const auto* lend = pair.client.extension_as<ferry_lend>(FERRY_EXT_LEND);
  ferry_connection* const client = pair.client.get();
  const std::uint64_t most = std::min<std::uint64_t>(pair.client.info().max_view, 1u << 20);
  constexpr std::uint64_t total = 2u << 20;
  auto reading = std::async(std::launch::async, [&] { expect_flow(pair.server, total); });
  for (std::uint64_t position = 0, round = 0; position < total; ++round) {
    const std::uint64_t minimum = std::min<std::uint64_t>(total - position, round % 2 == 0 ? 1 + round % 100 : most);
    void* view = nullptr;
    std::uint64_t size = 0;
    {
      const CallMark mark(Call::reserve);
      expect(lend->reserve(client, minimum, &view, &size, soon()), {FERRY_OK}, concat("reserve of ", minimum));
    }
    require(size >= minimum, "reserve of ", minimum, " bytes lent ", size);
    const std::uint64_t used = round % 7 == 3 ? 0 : minimum;
    fill({static_cast<std::uint8_t*>(view), static_cast<std::size_t>(used)}, position);
    const CallMark mark(Call::commit);
    std::uint64_t published = 0;
    if (FERRY_HAS(lend, ferry_lend, publish)) {  // part by part, without another reserve
      published = used / 2;
      expect(lend->publish(client, published), {FERRY_OK}, "publish");
    }
    expect(lend->commit(client, used - published, 0), {FERRY_OK}, "commit");
    position += used;
  }
  reading.get();
}

/// A call of an extension that has to wait keeps its deadline, and an interrupt ends it whenever it comes.
/// @param fill  whether the client's direction is full, so that what sends has to wait
/// @param call  the call on the client, by a deadline
template <class Call>
void expect_waits(Context& context, std::string_view what, bool fill, Call&& call) {
  {
    Pair pair = context.pair();
    if (fill) static_cast<void>(fill_up(pair.client, most_bytes_in_flight));
    expect_deadlines(what, [&](std::int64_t deadline) { return std::int64_t{call(pair.client, deadline)}; });
  }
  for (int round = 0; round < 10; ++round) {
    Pair pair = context.pair();
    if (fill) static_cast<void>(fill_up(pair.client, most_bytes_in_flight));
    auto waiting = std::async(std::launch::async, [&] { return std::int64_t{call(pair.client, FERRY_FOREVER)}; });
    const std::int64_t until = in(round % 4 * 20'000 + (round % 5 == 4 ? 3 * ms : 0));
    while (now_ns() < until) std::this_thread::yield();
    pair.client.interrupt();
    expect(waiting.get(), {FERRY_INTERRUPTED}, concat(what, " after interrupt"));
  }
}

void lent_views_are_waited_for(Context& context) {
  expect_waits(context, "peek", false, [](Connection& end, std::int64_t deadline) {
    const auto* lend = end.extension_as<ferry_lend>(FERRY_EXT_LEND);
    const void* view = nullptr;
    std::uint64_t size = 0;
    const CallMark mark(Call::peek);
    return lend->peek(end.get(), 1, &view, &size, deadline);
  });
  expect_waits(context, "reserve", true, [](Connection& end, std::int64_t deadline) {
    const auto* lend = end.extension_as<ferry_lend>(FERRY_EXT_LEND);
    void* view = nullptr;
    std::uint64_t size = 0;
    const CallMark mark(Call::reserve);
    return lend->reserve(end.get(), end.info().max_view, &view, &size, deadline);
  });
}

void descriptors_are_waited_for(Context& context) {
  expect_waits(context, "receive of descriptors", false, [](Connection& end, std::int64_t deadline) {
    const auto* passing = end.extension_as<ferry_fds>(FERRY_EXT_FDS);
    std::uint8_t byte = 0;
    std::int32_t fd = -1;
    std::uint32_t count = 1;
    const CallMark mark(Call::fds_receive);
    return passing->receive(end.get(), &byte, 1, &fd, &count, deadline);
  });
  const OpenFile file(context.directory() / "passed");
  expect_waits(context, "send of descriptors", true, [&](Connection& end, std::int64_t deadline) {
    const auto* passing = end.extension_as<ferry_fds>(FERRY_EXT_FDS);
    const std::vector<std::uint8_t> bytes(4096);
    const auto fd = static_cast<std::int32_t>(file.handle());
    const CallMark mark(Call::fds_send);
    return passing->send(end.get(), bytes.data(), bytes.size(), &fd, 1, deadline);
  });
}

void files_wait_for_room(Context& context) {
  if (context.pair().client.extension_as<ferry_file>(FERRY_EXT_FILE) == nullptr) skip("the plugin sends no files");
  const auto path = context.directory() / "content";
  std::ofstream(path, std::ios::binary) << std::string(1u << 20, 'f');
  const OpenFile file(path);
  expect_waits(context, "file send", true, [&](Connection& end, std::int64_t deadline) {
    const auto* sender = end.extension_as<ferry_file>(FERRY_EXT_FILE);
    const CallMark mark(Call::file_send);
    // As in write_until_status: a network transport may find room again.
    for (;;) {
      const std::int64_t sent = sender->send(end.get(), file.handle(), 0, 1u << 20, deadline);
      if (sent <= 0) return sent;
    }
  });
}

void many_are_armed(Context& context) {
  Pair pairs[] = {context.pair(), context.pair(), context.pair()};
  const auto* table = pairs[0].server.extension_as<ferry_arm_many>(FERRY_EXT_ARM_MANY);
  if (table == nullptr) skip("the plugin arms connections one by one");
  require(FERRY_HAS(table, ferry_arm_many, arm), "ferry.arm_many/1 has no arm");
  constexpr std::uint32_t count = 3;
  ferry_connection* servers[count];
  for (std::uint32_t i = 0; i < count; ++i) servers[i] = pairs[i].server.get();
  const auto arm = [&](std::int32_t first, std::int32_t second, std::int32_t third) {
    std::int32_t answers[count] = {-77, -77, -77};
    const CallMark mark(Call::arm);
    table->arm(servers, count, FERRY_READ, answers);
    const std::int32_t expected[] = {first, second, third};
    for (std::uint32_t i = 0; i < count; ++i) expect(answers[i], {expected[i]}, concat("arm of connection ", i));
  };
  for (std::uint64_t round = 0; round < 50; ++round) {
    arm(FERRY_ARMED, FERRY_ARMED, FERRY_ARMED);
    if (round % 2 == 0) arm(FERRY_ARMED, FERRY_ARMED, FERRY_ARMED);  // without a look between
    const std::size_t chosen = round % count;
    send_flow(pairs[chosen].client, 10);
    require(becomes_ready(pairs[chosen].server.pollable(FERRY_READ), 5000), "armed with others and not woken");
    arm(chosen == 0 ? FERRY_READY : FERRY_ARMED, chosen == 1 ? FERRY_READY : FERRY_ARMED,
        chosen == 2 ? FERRY_READY : FERRY_ARMED);
    expect_flow(pairs[chosen].server, 10);
  }
}

void credentials_are_ours(Context& context) {
  Pair pair = context.pair();
  for (Connection* end : {&pair.client, &pair.server}) {
    const auto* peer = end->extension_as<ferry_peer>(FERRY_EXT_PEER);
    require(FERRY_HAS(peer, ferry_peer, credentials), "ferry.peer/1 has no credentials");
    ferry_credentials who{};
    who.struct_size = sizeof who;
    const CallMark mark(Call::credentials);
    expect(peer->credentials(end->get(), &who), {FERRY_OK}, "credentials");
    const ferry_credentials own = own_credentials();
    require(who.uid == own.uid && who.gid == own.gid && who.pid == own.pid, "the peer is uid ", who.uid, " gid ",
            who.gid, " pid ", who.pid, " instead of ", own.uid, " ", own.gid, " ", own.pid);
  }
}

std::int64_t send_fds(Connection& from, std::uint64_t size, std::span<const std::int32_t> fds) {
  std::vector<std::uint8_t> bytes(size);
  fill(bytes, 0);
  const auto* passing = from.extension_as<ferry_fds>(FERRY_EXT_FDS);
  const CallMark mark(Call::fds_send);
  return passing->send(from.get(), bytes.data(), size, fds.data(), static_cast<std::uint32_t>(fds.size()), soon());
}

std::int64_t receive_fds(Connection& to, std::vector<std::int32_t>& fds, std::uint32_t& count) {
  std::vector<std::uint8_t> bytes(4096);
  const auto* passing = to.extension_as<ferry_fds>(FERRY_EXT_FDS);
  const CallMark mark(Call::fds_receive);
  return passing->receive(to.get(), bytes.data(), bytes.size(), fds.data(), &count, soon());
}

void descriptors_are_passed(Context& context) {
  Pair pair = context.pair();
  const OpenFile file(context.directory() / "passed");
  const auto before = open_descriptors();
  for (const std::uint32_t count : {1u, 3u, FERRY_MAX_FDS}) {
    const std::vector<std::int32_t> sent(count, static_cast<std::int32_t>(file.handle()));
    expect(send_fds(pair.client, 10, sent), {10}, concat("send of ", count, " descriptors"));
    std::vector<std::int32_t> got(FERRY_MAX_FDS, -1);
    std::uint32_t received = FERRY_MAX_FDS;
    expect(receive_fds(pair.server, got, received), {10}, concat("receive of ", count, " descriptors"));
    require(received == count, received, " of ", count, " descriptors arrived");
    for (std::uint32_t i = 0; i < received; ++i) {
      require(describe_descriptor(got[i]) == describe_descriptor(sent[0]), "another file arrived");
      require(is_close_on_exec(got[i]), "a received descriptor is not close-on-exec");
      close_descriptor(got[i]);
    }
  }
  require(open_descriptors() == before, "passing descriptors leaves some open");
}

void unwanted_descriptors_are_closed(Context& context) {
  Pair pair = context.pair();
  const OpenFile file(context.directory() / "passed");
  const auto before = open_descriptors();
  const std::vector<std::int32_t> many(20, static_cast<std::int32_t>(file.handle()));
  expect(send_fds(pair.client, 10, many), {10}, "send of descriptors");
  expect_flow(pair.server, 10);  // a plain read
  require(open_descriptors() == before, "descriptors that arrived during a plain read stay open");
  expect(send_fds(pair.client, 10, many), {10}, "send of descriptors");
  std::vector<std::int32_t> few(2, -1);
  std::uint32_t count = 2;
  expect(receive_fds(pair.server, few, count), {FERRY_TOO_LARGE}, "receive of more descriptors than there is room for");
  std::set<int> left = open_descriptors();
  require(left == before, left.size() - before.size(), " descriptors beyond the capacity stay open");
}

void files_arrive_whole(Context& context) {
  Pair pair = context.pair();
  const auto* sender = pair.client.extension_as<ferry_file>(FERRY_EXT_FILE);
  if (sender == nullptr) skip("the plugin sends no files");
  constexpr std::uint64_t total = (3u << 20) + 17;
  const auto path = context.directory() / "content";
  std::vector<std::uint8_t> content(total);
  fill(content, 0);
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(content.data()), total);
  const OpenFile file(path);
  auto reading = std::async(std::launch::async, [&] {
    expect_flow(pair.server, total - 5, 5);
    expect_end(pair.server);
    pair.server.close();
  });
  for (std::uint64_t position = 5; position < total;) {
    const CallMark mark(Call::file_send);
    const std::int64_t sent = sender->send(pair.client.get(), file.handle(), position, total - position, soon());
    require(sent > 0, "file send returned ", result_text(sent));
    position += static_cast<std::uint64_t>(sent);
  }
  expect(sender->send(pair.client.get(), file.handle(), total, 100, soon()), {0}, "file send at the end of the file");
  require(file.position() == 0, "file send moved the file's position");
  expect(pair.client.finish(soon()), {FERRY_OK}, "finish");
  reading.get();
}

void statistics_are_named(Context& context) {
  Pair pair = context.pair();
  const auto* statistics = pair.client.extension_as<ferry_statistics>(FERRY_EXT_STATISTICS);
  if (statistics == nullptr) skip("the plugin has no statistics");
  send_flow(pair.client, 1000);
  expect_flow(pair.server, 1000);
  const auto read = [&](ferry_statistic* figures, std::uint32_t capacity) {
    const CallMark mark(Call::statistics);
    return statistics->read(pair.client.get(), figures, capacity);
  };
  const std::int32_t count = read(nullptr, 0);
  require(count > 0, "statistics returned ", count);
  std::vector<ferry_statistic> figures(static_cast<std::size_t>(count) + 1, ferry_statistic{nullptr, nullptr, -77});
  require(read(figures.data(), static_cast<std::uint32_t>(count - 1)) == count,
          "statistics must say how many there are");
  require(figures[static_cast<std::size_t>(count) - 1].value == -77, "statistics wrote beyond the capacity");
  require(read(figures.data(), static_cast<std::uint32_t>(count)) == count, "statistics changes its mind");
  for (std::int32_t i = 0; i < count; ++i) {
    const ferry_statistic& figure = figures[static_cast<std::size_t>(i)];
    require(figure.name != nullptr && *figure.name != '\0' && figure.unit != nullptr, "a figure has no name or unit");
  }
}

/// What the peer has shown is consistent in itself, and copied by the rules.
void identity_is_consistent(Context& context) {
  Pair pair = context.pair();
  for (Connection* end : {&pair.client, &pair.server}) {
    const auto* identity = end->extension_as<ferry_identity>(FERRY_EXT_IDENTITY);
    require(FERRY_HAS(identity, ferry_identity, get), "ferry.identity/1 has no get");
    const auto get = [&](ferry_identity_item item, void* data, std::uint64_t size) {
      const CallMark mark(Call::identity_get);
      return identity->get(end->get(), item, data, size);
    };
    const auto text = [&](ferry_identity_item item) {
      std::string out(static_cast<std::size_t>(get(item, nullptr, 0)), '?');
      require(get(item, out.data(), out.size()) == static_cast<std::int64_t>(out.size()), "get changes its mind");
      return out;
    };
    const std::string certificate = text(FERRY_IDENTITY_CERTIFICATE);
    const std::string fingerprint = text(FERRY_IDENTITY_FINGERPRINT);
    require(certificate.empty() == fingerprint.empty(), "a certificate without fingerprint, or the other way round");
    require(fingerprint.empty() || fingerprint.size() == 64, "the fingerprint has ", fingerprint.size(), " digits");
    require(fingerprint.find_first_not_of("0123456789abcdef") == std::string::npos, "fingerprint ", fingerprint);
    const std::string cipher = text(FERRY_IDENTITY_CIPHER);
    require(!cipher.empty(), "the connection has no cipher");
    std::string little(1, '?');
    require(get(FERRY_IDENTITY_CIPHER, little.data(), 1) == static_cast<std::int64_t>(cipher.size()),
            "get with too little room does not say what it needs");
    require(little == "?", "get with too little room wrote");
    require(get(4711, nullptr, 0) == 0, "an unknown item is there");
  }
}

}  // namespace

std::span<const Test> extension_tests() {
  static constexpr Test tests[] = {
      {"extension.peek", "lent reads: minimum, end, deadlines", FERRY_CAP_EPHEMERAL | FERRY_CAP_LENDING, lent_reads},
      {"extension.reserve", "lent writes arrive", FERRY_CAP_EPHEMERAL | FERRY_CAP_LENDING, lent_writes},
      {"extension.lend_waits", "peek and reserve keep deadlines and are interrupted",
       FERRY_CAP_EPHEMERAL | FERRY_CAP_LENDING, lent_views_are_waited_for},
      {"extension.arm_many", "connections are armed together, and each is woken alone", FERRY_CAP_EPHEMERAL,
       many_are_armed},
      {"extension.peer", "the peer's credentials are ours", FERRY_CAP_EPHEMERAL | FERRY_CAP_CREDENTIALS,
       credentials_are_ours},
      {"extension.fds", "descriptors are passed, close-on-exec", FERRY_CAP_EPHEMERAL | FERRY_CAP_FD_PASSING,
       descriptors_are_passed},
      {"extension.fds_unwanted", "descriptors that nobody takes are closed", FERRY_CAP_EPHEMERAL | FERRY_CAP_FD_PASSING,
       unwanted_descriptors_are_closed},
      {"extension.fds_waits", "passing descriptors keeps deadlines and is interrupted",
       FERRY_CAP_EPHEMERAL | FERRY_CAP_FD_PASSING, descriptors_are_waited_for},
      {"extension.file_waits", "sending a file keeps deadlines and is interrupted", FERRY_CAP_EPHEMERAL,
       files_wait_for_room},
      {"extension.file", "a file's content arrives", FERRY_CAP_EPHEMERAL, files_arrive_whole},
      {"extension.identity", "what the peer has proven is consistent", FERRY_CAP_EPHEMERAL | FERRY_CAP_IDENTITY,
       identity_is_consistent},
      {"extension.statistics", "figures have names and stay within the capacity", FERRY_CAP_EPHEMERAL,
       statistics_are_named},
  };
  return tests;
}

}  // namespace ferry::conformance

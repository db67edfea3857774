// What options ask for, what the kernel granted, reload, and statistics.
#include <set>

#include "tcp_test_support.hpp"

using namespace ferry::tcp;
using namespace ferry::tcp::test;

TEST_CASE_FIXTURE(NoLeak,
                  "options are in force on both ends, also on connections that inherit them from the listener") {
  const Values values = Values()
                            .set(option_nodelay, 0)
                            .set(option_keepalive, 1)
                            .set(option_keepalive_idle, 41 * second_ns + 1)
                            .set(option_keepalive_interval, 7 * second_ns)
                            .set(option_keepalive_count, 3)
                            .set(option_user_timeout, 12'345 * millisecond_ns)
                            .set(option_sndbuf, 40'000)
                            .set(option_rcvbuf, 50'000)
                            .set_text(option_congestion, "reno");
  Pair pair(values, values);
  for (const Connection* end : {&pair.client, &pair.server}) {
    const auto effective = end->effective();
    CHECK(effective[option_nodelay].integer == 0);
    CHECK(effective[option_keepalive].integer == 1);
    CHECK(effective[option_keepalive_idle].integer == 42 * second_ns);  // the kernel counts whole seconds
    CHECK(effective[option_keepalive_interval].integer == 7 * second_ns);
    CHECK(effective[option_keepalive_count].integer == 3);
    CHECK(effective[option_user_timeout].integer == 12'345 * millisecond_ns);
    CHECK(effective[option_sndbuf].integer == 80'000);  // doubled by the kernel for its bookkeeping
    CHECK(effective[option_rcvbuf].integer == 100'000);
    CHECK(std::string(effective[option_congestion].text) == "reno");
    CHECK(std::string(effective[option_family].text) == "ipv4");
    CHECK(effective[option_mptcp].integer == 0);
    CHECK(effective[option_backlog].is_set == 0);
  }
}

TEST_CASE_FIXTURE(NoLeak, "defaults: small writes leave at once, dead peers are noticed, buffers tune themselves") {
  Pair pair;
  for (const Connection* end : {&pair.client, &pair.server}) {
    const auto effective = end->effective();
    CHECK(effective[option_nodelay].integer == 1);
    CHECK(effective[option_keepalive].integer == 1);
    CHECK(effective[option_keepalive_idle].integer == 60 * second_ns);
    CHECK(effective[option_user_timeout].is_set == 0);
    CHECK(effective[option_sndbuf].integer > 0);
  }
}

TEST_CASE_FIXTURE(NoLeak, "a transport tells what would be granted, caps included, without a listener or a peer") {
  Transport transport;
  std::int64_t cap = 0;
  std::ifstream("/proc/sys/net/core/somaxconn") >> cap;
  const Values wanted = Values().set(option_sndbuf, max_buffer_bytes).set(option_backlog, max_backlog);
  const ferry_values abi = wanted.abi();
  std::array<ferry_value, option_count> granted{};
  Error error;
  REQUIRE(transport.raw()->ops->effective(transport.raw(), &abi, granted.data(), option_count, &error) == FERRY_OK);
  CHECK(granted[option_backlog].integer == std::min(cap, max_backlog));
  CHECK(granted[option_sndbuf].integer < max_buffer_bytes);
  CHECK(std::string(granted[option_family].text) == "any");
  CHECK(granted[option_nodelay].integer == 1);

  Listener listener = transport.listen("127.0.0.1:0", wanted);
  std::array<ferry_value, option_count> listening{};
  REQUIRE(listener.raw()->ops->effective(listener.raw(), listening.data(), option_count) == FERRY_OK);
  CHECK(listening[option_backlog].integer == granted[option_backlog].integer);
  CHECK(listening[option_sndbuf].integer == granted[option_sndbuf].integer);
}

TEST_CASE_FIXTURE(NoLeak, "fewer values than the table has rows are filled and no more") {
  Pair pair;
  std::array<ferry_value, 3> values{};
  values[2].integer = -7;
  CHECK(pair.client.raw()->ops->effective(pair.client.raw(), values.data(), 2) == FERRY_OK);
  CHECK(values[0].is_set == 1);
  CHECK(values[2].integer == -7);
}

TEST_CASE_FIXTURE(NoLeak, "an unknown congestion control is refused by name, on connect, listen and in effective") {
  Transport transport;
  Listener listener = transport.listen();
  const Values wrong = Values().set_text(option_congestion, "nonesuch");
  Connection none;
  Error error;
  CHECK(transport.try_connect(listener.address(), none, &error, soon(), wrong) == FERRY_UNSUPPORTED);
  CHECK(error.text().find("'nonesuch'") != std::string::npos);
  CHECK(transport.try_listen("127.0.0.1:0", &error, wrong) == FERRY_UNSUPPORTED);
  const ferry_values abi = wrong.abi();
  std::array<ferry_value, option_count> values{};
  CHECK(transport.raw()->ops->effective(transport.raw(), &abi, values.data(), option_count, &error) ==
        FERRY_UNSUPPORTED);
}

TEST_CASE_FIXTURE(NoLeak, "a listener takes new values for connections accepted later, also those queued before") {
  Transport transport;
  Listener listener = transport.listen();
  Connection early = transport.connect(listener.address());
  Connection early_server = listener.accept();
  Connection queued = transport.connect(listener.address());
  const Values kept = Values().set(option_nodelay, 0).set(option_keepalive_idle, 33 * second_ns);
  const ferry_values fresh = kept.abi();
  Error error;
  REQUIRE(listener.raw()->ops->reconfigure(listener.raw(), &fresh, &error) == FERRY_OK);
  Connection later = transport.connect(listener.address());
  for (int i = 0; i < 2; ++i) {
    Connection server = listener.accept();
    CHECK(server.effective()[option_nodelay].integer == 0);
    CHECK(server.effective()[option_keepalive_idle].integer == 33 * second_ns);
  }
  CHECK(early_server.effective()[option_nodelay].integer == 1);
}

TEST_CASE_FIXTURE(NoLeak, "the family option decides where the address leaves a choice, and contradicts a literal") {
  Transport transport;
  Connection none;
  Error error;
  const Values ipv6 = Values().set_text(option_family, "ipv6");
  CHECK(transport.try_connect("127.0.0.1:7", none, &error, soon(), ipv6) == FERRY_NOT_FOUND);
  CHECK(error.text().find("family") != std::string::npos);
  Listener listener = transport.listen("localhost:0", Values().set_text(option_family, "ipv4"));
  CHECK(listener.address().starts_with("127."));
}

TEST_CASE_FIXTURE(NoLeak,
                  "Multipath TCP is used when both ends speak it, falls back when one does not, or says why not") {
  Transport transport;
  const Values multipath = Values().set(option_mptcp, 1);
  Error error;
  if (transport.try_listen("127.0.0.1:0", &error, multipath) != FERRY_OK) {
    CHECK(error.text().find("Multipath TCP") != std::string::npos);
    MESSAGE("only the refusal was tested: ", error.text());
    return;
  }
  Listener both = transport.listen("127.0.0.1:0", multipath);
  Connection client = transport.connect(both.address(), multipath);
  Connection server = both.accept();
  char byte;
  CHECK(client.write("x", 1) == 1);
  CHECK(server.read(&byte, 1) == 1);
  CHECK(client.effective()[option_mptcp].integer == 1);
  CHECK(server.effective()[option_mptcp].integer == 1);
  CHECK(server.effective()[option_nodelay].integer == 1);

  Values unsupported = multipath;  // no kernel up to 6.18 has a user timeout on Multipath sockets
  unsupported.set(option_user_timeout, second_ns);
  if (transport.try_listen("127.0.0.1:0", &error, unsupported) != FERRY_OK) {
    CHECK(error.text().find("'user_timeout' to 1000 with mptcp") != std::string::npos);
  }

  Listener plain = transport.listen();
  Connection fallen_back = transport.connect(plain.address(), multipath);
  CHECK(plain.accept().write("y", 1) == 1);
  CHECK(fallen_back.read(&byte, 1) == 1);
  CHECK(fallen_back.effective()[option_mptcp].integer == 0);
}

TEST_CASE_FIXTURE(NoLeak, "statistics count the bytes that went over the connection") {
  Pair pair;
  const auto* statistics = static_cast<const ferry_statistics*>(
      pair.client.raw()->ops->get_extension(pair.client.raw(), FERRY_EXT_STATISTICS));
  REQUIRE(statistics != nullptr);
  const std::string sent(100'000, 's');
  std::thread writer([&] {
    CHECK(pair.client.write_all(sent));
    CHECK(pair.client.finish() == FERRY_OK);
  });
  std::int64_t last = 0;
  CHECK(pair.server.read_all(last).size() == sent.size());
  writer.join();

  const std::int32_t count = statistics->read(pair.client.raw(), nullptr, 0);
  REQUIRE(count > 10);
  std::vector<ferry_statistic> figures(static_cast<std::size_t>(count));
  CHECK(statistics->read(pair.client.raw(), figures.data(), static_cast<std::uint32_t>(count)) == count);
  std::set<std::string> names;
  std::int64_t acknowledged = 0, rtt = 0;
  for (const ferry_statistic& figure : figures) {
    CHECK(names.insert(figure.name).second);
    CHECK(figure.value >= 0);
    if (std::string(figure.name) == "bytes_acknowledged") acknowledged = figure.value;
    if (std::string(figure.name) == "rtt") rtt = figure.value;
  }
  CHECK(acknowledged >= static_cast<std::int64_t>(sent.size()));
  CHECK(rtt > 0);
  CHECK(pair.client.raw()->ops->get_extension(pair.client.raw(), "ferry.unknown/1") == nullptr);
}

TEST_CASE("the plugin describes itself and checks addresses without a transport") {
  const ferry_plugin& plugin = tcp_plugin();
  CHECK(plugin.option_count == option_count);
  CHECK(plugin.capabilities ==
        (FERRY_CAP_STREAM | FERRY_CAP_HALF_CLOSE | FERRY_CAP_RESET | FERRY_CAP_REMOTE | FERRY_CAP_EPHEMERAL));
  CHECK(plugin.check_address(plugin.ephemeral_address, nullptr) == FERRY_OK);
  Error error;
  CHECK(plugin.check_address("127.0.0.1", &error) == FERRY_INVALID);
  CHECK(error.text().find("port") != std::string::npos);
}

// The loops of Connection over a scripted transport: partial transfers, deadlines, piece lists, lending, ending.
#include "ferry/connection.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <thread>

#include "support/scripted_connection.hpp"
#include "support/socket_connection.hpp"

using namespace ferry;
using namespace ferry::test;
using namespace std::chrono_literals;

namespace {

ConstBytes bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string text(ConstBytes view) { return {reinterpret_cast<const char*>(view.data()), view.size()}; }

Connection::Settings without_spin() {
  Connection::Settings settings;
  settings.wait = WaitPolicy(WaitPolicy::Mode::off, 0);
  return settings;
}

struct Fixture {
  std::shared_ptr<Script> script = std::make_shared<Script>();
  Connection connection = scripted(script, without_spin());
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "write goes on after partial writes until every byte is out") {
  script->writes = {3, 1, 2};
  const IoResult result = connection.write(bytes("abcdefgh"));
  CHECK(result.status == Status::ok);
  CHECK(result.size == 8);
  CHECK(script->written == "abcdefgh");
  CHECK(script->write_calls == 4);
}

TEST_CASE_FIXTURE(Fixture, "a write that fails says how much went before") {
  script->writes = {3, FERRY_TIMED_OUT};
  const IoResult result = connection.write(bytes("abcdefgh"), 1s);
  CHECK(result.status == Status::timed_out);
  CHECK(result.size == 3);
}

TEST_CASE_FIXTURE(Fixture, "a gathered write longer than the limit is split and all but the last says more") {
  const std::string piece = "xy";
  std::vector<ConstBytes> pieces(150, bytes(piece));
  const IoResult result = connection.write(pieces);
  CHECK(result.size == 300);
  CHECK(script->written.size() == 300);
  CHECK(script->write_counts == std::vector<std::uint32_t>{64, 64, 22});
  CHECK(script->write_flags == std::vector<std::uint32_t>{FERRY_WRITE_MORE, FERRY_WRITE_MORE, 0});
}

TEST_CASE_FIXTURE(Fixture, "a gathered write goes on inside a piece and skips empty ones") {
  script->writes = {4, 1, 5};
  const ConstBytes pieces[] = {bytes("abc"), bytes(""), bytes("defgh"), bytes("ij"), bytes("")};
  const IoResult result = connection.write(pieces);
  CHECK(result.status == Status::ok);
  CHECK(result.size == 10);
  CHECK(script->written == "abcdefghij");
  CHECK(script->write_counts == std::vector<std::uint32_t>{3, 2, 2});
}

TEST_CASE_FIXTURE(Fixture, "write_some returns after one call") {
  script->writes = {4};
  const ConstBytes pieces[] = {bytes("abc"), bytes("def")};
  const IoResult result = connection.write_some(pieces);
  CHECK(result.size == 4);
  CHECK(script->write_calls == 1);
}

TEST_CASE_FIXTURE(Fixture, "read_exactly gathers pieces and reports an early end with what came") {
  script->deliver("abc");
  script->deliver("de");
  std::string buffer(5, '\0');
  IoResult result = connection.read_exactly(std::as_writable_bytes(std::span(buffer)));
  CHECK(result.status == Status::ok);
  CHECK(buffer == "abcde");
  script->deliver("xy");
  result = connection.read_exactly(std::as_writable_bytes(std::span(buffer)));
  CHECK(result.status == Status::end);
  CHECK(result.size == 2);
}

TEST_CASE("with spinning off a read is one blocking call with the caller's deadline") {
  const auto script = std::make_shared<Script>();
  Connection connection = scripted(script, without_spin());
  script->deliver("a");
  std::byte one[1];
  CHECK(connection.read(one, Deadline::at_ns(77)).size == 1);
  CHECK(script->deadlines == std::vector<std::int64_t>{77});
}

TEST_CASE("with spinning on a read attempts until something comes and never blocks") {
  const auto script = std::make_shared<Script>();
  Connection::Settings settings;
  settings.wait = WaitPolicy(WaitPolicy::Mode::bounded, 1'000'000'000);
  Connection connection = scripted(script, settings);
  for (int i = 0; i < 20; ++i) script->deliver(FERRY_WOULD_BLOCK);
  script->deliver("a");
  std::byte one[1];
  CHECK(connection.read(one).size == 1);
  CHECK(script->deadlines == std::vector<std::int64_t>(21, FERRY_NO_WAIT));
}

TEST_CASE("a spin that finds nothing ends in the blocking call") {
  const auto script = std::make_shared<Script>();
  Connection::Settings settings;
  settings.wait = WaitPolicy(WaitPolicy::Mode::bounded, 1);
  Connection connection = scripted(script, settings);
  script->after_reads = FERRY_WOULD_BLOCK;
  std::byte one[1];
  (void)connection.read(one, Deadline::never());
  CHECK(script->deadlines.back() == FERRY_FOREVER);
}

TEST_CASE_FIXTURE(Fixture, "peek is emulated: views grow, consume moves on, read takes what was peeked first") {
  CHECK_FALSE(connection.lends());
  script->deliver("abc");
  script->deliver("defg");
  ConstBytes view;
  REQUIRE(connection.peek(view) == Status::ok);
  CHECK(text(view) == "abc");
  REQUIRE(connection.peek(view, 5) == Status::ok);
  CHECK(text(view) == "abcdefg");
  connection.consume(2);
  REQUIRE(connection.peek(view) == Status::ok);
  CHECK(text(view) == "cdefg");
  std::string rest(16, '\0');
  const IoResult result = connection.read(std::as_writable_bytes(std::span(rest)));
  CHECK(rest.substr(0, result.size) == "cdefg");
  CHECK(connection.peek(view) == Status::end);
}

TEST_CASE_FIXTURE(Fixture, "peek before the end gives the rest to a smaller minimum") {
  script->deliver("abc");
  ConstBytes view;
  CHECK(connection.peek(view, 4) == Status::end);
  REQUIRE(connection.peek(view, 3) == Status::ok);
  CHECK(text(view) == "abc");
}

TEST_CASE_FIXTURE(Fixture, "peek of more than the spare buffer holds, after part was consumed") {
  const std::string big(300'000, 'z');
  script->deliver("ab" + big);
  ConstBytes view;
  REQUIRE(connection.peek(view) == Status::ok);
  connection.consume(2);
  REQUIRE(connection.peek(view, big.size()) == Status::ok);
  CHECK(text(view) == big);
  CHECK(connection.peek(view, Connection::max_lent + 1) == Status::too_large);
}

TEST_CASE_FIXTURE(Fixture, "reserve and commit are emulated by one write") {
  MutableBytes memory;
  REQUIRE(connection.reserve(memory, 5) == Status::ok);
  CHECK(memory.size() >= 5);
  std::memcpy(memory.data(), "hello", 5);
  CHECK(connection.commit(5) == Status::ok);
  CHECK(script->written == "hello");
  REQUIRE(connection.reserve(memory, 1) == Status::ok);
  CHECK(connection.commit(0) == Status::ok);
  CHECK(script->write_calls == 1);
}

TEST_CASE("a lending transport's own memory is lent and published") {
  const auto script = std::make_shared<Script>();
  script->max_view = 64;
  Connection connection = scripted<LendingScriptedConnection>(script, without_spin());
  CHECK(connection.lends());
  script->deliver("abcdef");
  ConstBytes view;
  REQUIRE(connection.peek(view, 3) == Status::ok);
  CHECK(text(view) == "abcdef");
  connection.consume(4);
  REQUIRE(connection.peek(view) == Status::ok);
  CHECK(text(view) == "ef");
  CHECK(connection.peek(view, 65) == Status::too_large);
  MutableBytes memory;
  REQUIRE(connection.reserve(memory, 5) == Status::ok);
  std::memcpy(memory.data(), "hello", 5);
  CHECK(connection.commit(5) == Status::ok);
  CHECK(script->written == "hello");
  CHECK(script->write_calls == 0);
}

TEST_CASE("a record of more pieces than one call takes is still one record") {
  const auto script = std::make_shared<Script>();
  script->kind = FERRY_RECORDS;
  script->max_record = 1000;
  Connection connection = scripted(script, without_spin());
  std::vector<ConstBytes> pieces(100, bytes("ab"));
  CHECK(connection.write(pieces).size == 200);
  CHECK(script->records.size() == 1);
  CHECK(connection.write(std::span<const ConstBytes>()).status == Status::ok);
  CHECK(script->records.size() == 2);
}

TEST_CASE("peek lends one record at a time") {
  const auto script = std::make_shared<Script>();
  script->kind = FERRY_RECORDS;
  script->max_record = 1000;
  Connection connection = scripted(script, without_spin());
  script->deliver("first");
  script->deliver("second");
  ConstBytes view;
  REQUIRE(connection.peek(view) == Status::ok);
  CHECK(text(view) == "first");
  connection.consume(view.size());
  REQUIRE(connection.peek(view) == Status::ok);
  CHECK(text(view) == "second");
}

TEST_CASE("close finishes, then closes; destruction does as much; abort and release do not finish") {
  for (const int how : {0, 1, 2, 3}) {
    const auto script = std::make_shared<Script>();
    script->finish_status = FERRY_TIMED_OUT;
    {
      Connection connection = scripted(script, without_spin());
      if (how == 0) CHECK(connection.close() == Status::timed_out);
      if (how == 2) connection.abort();
      if (how == 3) {
        ferry_connection* raw = connection.release();
        raw->ops->close(raw);
      }
      if (how != 1) CHECK_FALSE(connection);
      if (how != 1) CHECK(connection.close() == Status::ok);
    }
    CHECK(script->closed);
    CHECK(script->finished == (how < 2));
    CHECK(script->aborted == (how == 2));
  }
}

TEST_CASE("moving a connection takes what was peeked along and closes the target's own") {
  const auto one = std::make_shared<Script>();
  const auto two = std::make_shared<Script>();
  one->deliver("abc");
  Connection first = scripted(one, without_spin());
  Connection second = scripted(two, without_spin());
  ConstBytes view;
  REQUIRE(first.peek(view) == Status::ok);
  second = std::move(first);
  CHECK(two->closed);
  CHECK_FALSE(first);
  std::byte buffer[8];
  CHECK(second.read(buffer).size == 3);
}

TEST_CASE("optional operations that a plugin lacks, or was too old to know, are unsupported") {
  const auto script = std::make_shared<Script>();
  auto* raw = (new ScriptedConnection(script))->abi();
  ferry_connection_ops ops = *raw->ops;
  ops.shutdown_write = nullptr;
  raw->ops = &ops;
  {
    Connection connection(raw, nullptr, {}, "old://");
    CHECK(connection.shutdown_write() == Status::unsupported);
    CHECK(connection.extension<ferry_peer>(FERRY_EXT_PEER) == nullptr);
  }
  CHECK(script->closed);
}

TEST_CASE("a plugin that lacks a required operation is refused by name and its object is closed") {
  const auto script = std::make_shared<Script>();
  auto* raw = (new ScriptedConnection(script))->abi();
  ferry_connection_ops ops = *raw->ops;
  ops.interrupt = nullptr;
  raw->ops = &ops;
  CHECK_THROWS_WITH_AS(Connection(raw, nullptr, {}, "broken://"), doctest::Contains("interrupt is NULL"), Error);
  CHECK(script->closed);
}

TEST_CASE("a ping-pong between two threads keeps its bytes whatever the wait policy") {
  for (const auto& wait :
       {WaitPolicy(), WaitPolicy(WaitPolicy::Mode::off, 0), WaitPolicy(WaitPolicy::Mode::bounded, 20'000)}) {
    Connection::Settings settings;
    settings.wait = wait;
    auto [here, there] = socket_pair(settings);
    std::thread echo([&there = there] {
      std::byte buffer[64];
      while (const IoResult got = there.read(buffer, 30s)) (void)there.write({buffer, got.size});
    });
    for (int i = 0; i < 200; ++i) {
      int back = -1;
      CHECK(here.write(std::as_bytes(std::span(&i, 1))).status == Status::ok);
      CHECK(here.read_exactly(std::as_writable_bytes(std::span(&back, 1)), 30s).status == Status::ok);
      CHECK(back == i);
    }
    CHECK(here.shutdown_write() == Status::ok);
    echo.join();
  }
}

TEST_CASE("interrupt wakes a blocked reader") {
  auto [here, there] = socket_pair(without_spin());
  IoResult result;
  std::thread reader([&, &here = here] {
    std::byte buffer[1];
    result = here.read(buffer, 30s);
  });
  here.interrupt();
  reader.join();
  CHECK(result.status == Status::interrupted);
}

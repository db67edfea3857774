#include "ferry/options.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

using ferry::OptionSetting;
using ferry::OptionSource;
using ferry::OptionTable;
using ferry::OptionValues;

constexpr const char* const colours[] = {"red", "green", nullptr};

constexpr ferry_option row(ferry_option_type type, const char* name, const char* default_text, std::int64_t minimum,
                           std::int64_t maximum, std::uint32_t flags = 0) {
  return {sizeof(ferry_option),
          type,
          flags,
          0,
          name,
          default_text,
          minimum,
          maximum,
          type == FERRY_OPTION_CHOICE ? colours : nullptr,
          "help"};
}

constexpr std::array<ferry_option, 9> rows{
    row(FERRY_OPTION_BOOL, "nodelay", "true", 0, 1),
    row(FERRY_OPTION_INTEGER, "backlog", "128", -5, 4096),
    row(FERRY_OPTION_SIZE, "sndbuf", "256KiB", 1024, 1 << 30),
    row(FERRY_OPTION_DURATION, "timeout", "20ms", 0, 3'600'000'000'000),
    row(FERRY_OPTION_TEXT, "owner", nullptr, 0, 8),
    row(FERRY_OPTION_CHOICE, "colour", "red", 0, 0),
    row(FERRY_OPTION_MODE, "mode", "0600", 0, 0777),
    row(FERRY_OPTION_TEXT, "token", nullptr, 0, 8, FERRY_OPTION_SECRET),
    row(FERRY_OPTION_TEXT, "cert", nullptr, 0, 8, FERRY_OPTION_LISTEN | FERRY_OPTION_NEEDED)};
enum : std::uint32_t { nodelay, backlog, sndbuf, timeout, owner, colour, mode, token, cert };

OptionTable table() { return {rows.data(), static_cast<std::uint32_t>(rows.size()), sizeof(ferry_option)}; }

/// The value printed again, or the problem.
std::string parsed(std::uint32_t index, const std::string& text) {
  ferry_value value{};
  std::string problem;
  if (!ferry::parse_option(rows[index], text, value, problem)) return "! " + problem;
  return ferry::format_option(rows[index], value);
}

std::string size_of(const std::string& text) {
  std::int64_t bytes = -1;
  std::string problem;
  return ferry::parse_size(text, bytes, problem) ? std::to_string(bytes) : "! " + problem;
}

std::string duration_of(const std::string& text) {
  std::int64_t ns = -1;
  std::string problem;
  return ferry::parse_duration(text, ns, problem) ? std::to_string(ns) : "! " + problem;
}

}  // namespace

TEST_CASE("sizes take units and exact fractions") {
  const std::pair<const char*, const char*> sizes[] = {
      {"0", "0"},
      {"4096", "4096"},
      {"12B", "12"},
      {"1KB", "1000"},
      {"1KiB", "1024"},
      {"2MB", "2000000"},
      {"256KiB", "262144"},
      {"64MiB", "67108864"},
      {"1GB", "1000000000"},
      {"3GiB", "3221225472"},
      {"1.5KiB", "1536"},
      {"1.0625KiB", "1088"},
      {"0.000001MB", "1"},
      {"1.50000000000000000000000000KiB", "1536"},
      {"9223372036854775807", "9223372036854775807"},
      {"8589934591.999999999068677425384521484375GiB",
       "! '8589934591.999999999068677425384521484375GiB' is no whole number of bytes"}};
  for (const auto& entry : sizes) {
    const std::string text = entry.first;
    CAPTURE(text);
    CHECK(size_of(text) == entry.second);
  }
}

TEST_CASE("what is no size is refused with what to write") {
  CHECK(size_of("12kb") ==
        "! '12kb' is not a size: write a number and B, KiB, MiB, GiB, KB, MB or GB, for example 256KiB; did you mean "
        "'12KB'?");
  for (const char* text : {"", "KiB", "-1KiB", "+1", "1 KiB", "1.KiB", ".5KiB", "1e3", "0x10", "1KiBB", "1..5KiB",
                           "1,5KiB", "nan", "inf", "１KiB"}) {
    CAPTURE(text);
    CHECK(size_of(text).starts_with("! '" + std::string(text) + "' is not a size"));
  }
  CHECK(size_of("0.5B") == "! '0.5B' is no whole number of bytes");
  CHECK(size_of("9223372036854775808") == "! '9223372036854775808' is too large");
  CHECK(size_of("8589934592GiB") == "! '8589934592GiB' is too large");
  CHECK(size_of("99999999999999999999999999999GiB").ends_with("is too large"));
}

TEST_CASE("durations take units and exact fractions, and only zero goes without") {
  const std::pair<const char*, const char*> durations[] = {{"0", "0"},
                                                           {"7ns", "7"},
                                                           {"20us", "20000"},
                                                           {"20ms", "20000000"},
                                                           {"1.5s", "1500000000"},
                                                           {"2min", "120000000000"},
                                                           {"1h", "3600000000000"},
                                                           {"0.1h", "360000000000"},
                                                           {"0.000000001s", "1"}};
  for (const auto& entry : durations) {
    const std::string text = entry.first;
    CAPTURE(text);
    CHECK(duration_of(text) == entry.second);
  }
  CHECK(duration_of("5") == "! '5' is not a duration: write a number and ns, us, ms, s, min or h, for example 20ms");
  CHECK(duration_of("5sec").starts_with("! '5sec' is not a duration"));
  CHECK(duration_of("0.1ns") == "! '0.1ns' is no whole number of nanoseconds");
  CHECK(duration_of("2562048h") == "! '2562048h' is too large");
}

TEST_CASE("random sizes and durations print to what parses to themselves") {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20000; ++i) {
    const auto amount = static_cast<std::int64_t>((random() >> 1) >> (random() % 63));
    REQUIRE(size_of(ferry::format_size(amount)) == std::to_string(amount));
    REQUIRE(duration_of(ferry::format_duration(amount)) == std::to_string(amount));
  }
  CHECK(ferry::format_size(256 * 1024) == "256KiB");
  CHECK(ferry::format_size(1000) == "1000B");
  CHECK(ferry::format_duration(1'500'000'000) == "1500ms");
  CHECK(ferry::format_duration(90'000'000'000) == "90s");
}

TEST_CASE("each type reads its spellings and prints them canonically") {
  for (const char* yes : {"true", "on", "yes", "1"}) CHECK(parsed(nodelay, yes) == "true");
  for (const char* no : {"false", "off", "no", "0"}) CHECK(parsed(nodelay, no) == "false");
  CHECK(parsed(backlog, "-5") == "-5");
  CHECK(parsed(sndbuf, "65536") == "64KiB");
  CHECK(parsed(timeout, "0") == "0s");
  CHECK(parsed(owner, "nobody") == "nobody");
  CHECK(parsed(colour, "green") == "green");
  CHECK(parsed(mode, "660") == "0660");
  CHECK(parsed(token, "s3cret") == "(secret)");
}

TEST_CASE("each type refuses what is not its own or out of range") {
  CHECK(parsed(nodelay, "True") == "! 'True' is neither true nor false");
  CHECK(parsed(backlog, "many") == "! 'many' is not a whole number between -5 and 4096");
  CHECK(parsed(backlog, "1.5") == "! '1.5' is not a whole number between -5 and 4096");
  CHECK(parsed(backlog, "4097") == "! '4097' is above the maximum, 4096");
  CHECK(parsed(backlog, "-6") == "! '-6' is below the minimum, -5");
  CHECK(parsed(backlog, "99999999999999999999").starts_with("! "));
  CHECK(parsed(sndbuf, "2GiB") == "! '2GiB' is above the maximum, 1GiB");
  CHECK(parsed(sndbuf, "1B") == "! '1B' is below the minimum, 1KiB");
  CHECK(parsed(timeout, "2h") == "! '2h' is above the maximum, 1h");
  CHECK(parsed(owner, "far too long") == "! 'far too long' is longer than 8 bytes");
  CHECK(parsed(owner, std::string("a\0b", 3)) == "! 'a?b' holds a NUL byte");
  CHECK(parsed(colour, "gren") == "! 'gren' is none of red, green; did you mean 'green'?");
  CHECK(parsed(mode, "0888").starts_with("! '0888' is not a file mode"));
  CHECK(parsed(mode, "-1").starts_with("! '-1' is not a file mode"));
  CHECK(parsed(mode, "1777") == "! '1777' is above the maximum, 0777");
  CHECK(parsed(token, "far too long") == "! the value is longer than 8 bytes");
}

TEST_CASE("the nearest setting wins and says where it was written") {
  const std::vector<OptionSetting> settings = {
      {"sndbuf", "64KiB", OptionSource::transport_config, {"app.json", 3, 9, "/transports/x/sndbuf"}},
      {"owner", "alice", OptionSource::endpoint_object, {}},
      {"sndbuf", "32KiB", OptionSource::descriptor, {}},
  };
  std::vector<std::string> problems;
  const OptionValues values = OptionValues::resolve(table(), settings, problems);
  CHECK(problems.empty());
  CHECK(values[sndbuf].integer == 32 * 1024);
  CHECK(values[sndbuf].is_explicit == 1);
  CHECK(values.source(sndbuf) == OptionSource::descriptor);
  CHECK(values.location(sndbuf).empty());
  CHECK(values[timeout].integer == 20'000'000);
  CHECK(values[timeout].is_set == 1);
  CHECK(values[timeout].is_explicit == 0);
  CHECK(values.source(timeout) == OptionSource::table_default);
  CHECK(values[token].is_set == 0);
  CHECK(std::string(values[owner].text) == "alice");
  CHECK(values.abi().count == rows.size());
  CHECK(values.abi().values[backlog].integer == 128);
}

TEST_CASE("every problem is reported with its place and the value before it stands") {
  const std::vector<OptionSetting> settings = {
      {"nodleay", "true", OptionSource::transport_config, {"app.json", 3, 9, "/transports/x/nodleay"}},
      {"sndbuf", "12kib", OptionSource::descriptor, {}},
      {"backlog", "5000", OptionSource::endpoint_object, {"app.json", 5, 2, "/links/e"}},
      {"spin", "off", OptionSource::descriptor, {}},
  };
  std::vector<std::string> problems;
  const OptionValues values = OptionValues::resolve(table(), settings, problems, ferry::core_options());
  REQUIRE(problems.size() == 3);
  CHECK(problems[0] == "app.json:3:9 /transports/x/nodleay: unknown option 'nodleay'; did you mean 'nodelay'?");
  CHECK(problems[1].starts_with("option 'sndbuf': '12kib' is not a size"));
  CHECK(problems[2] == "app.json:5:2 /links/e: option 'backlog': '5000' is above the maximum, 4096");
  CHECK(values[sndbuf].integer == 256 * 1024);
}

TEST_CASE("copies and moves own their text") {
  std::vector<std::string> problems;
  const std::vector<OptionSetting> settings = {{"owner", "alice", OptionSource::descriptor, {}},
                                               {"colour", "green", OptionSource::descriptor, {}}};
  OptionValues copy;
  {
    const OptionValues first = OptionValues::resolve(table(), settings, problems);
    copy = first;
    CHECK(copy[owner].text != first[owner].text);
  }
  const OptionValues moved = std::move(copy);
  CHECK(std::string(moved[owner].text) == "alice");
  CHECK(std::string(moved[colour].text) == "green");
}

TEST_CASE("a table of a larger layout is read by its stride") {
  struct Wide {
    ferry_option option;
    std::int64_t newer_member;
  };
  const std::array<Wide, 2> wide{Wide{rows[nodelay], 1}, Wide{rows[mode], 2}};
  const OptionTable strided(&wide[0].option, 2, sizeof(Wide));
  CHECK(strided.find("mode") == 1);
  CHECK(strided.find("colour") == -1);
}

TEST_CASE("the core's own options have sound defaults and ranges") {
  std::vector<std::string> problems;
  const OptionValues values = OptionValues::resolve(ferry::core_options(), {}, problems);
  CHECK(problems.empty());
  using ferry::CoreOption;
  const auto at = [&](CoreOption option) { return values[static_cast<std::uint32_t>(option)]; };
  CHECK(std::string(at(CoreOption::spin).text) == "auto");
  CHECK(at(CoreOption::linger).integer == 1'000'000'000);
  CHECK(at(CoreOption::max_message).integer == 64 * 1024 * 1024);
  CHECK(at(CoreOption::handshake_deadline).integer == 10'000'000'000);
  for (const char* spin : {"off", "auto", "0", "20us", "1s"}) {
    const OptionSetting setting{"spin", spin, OptionSource::descriptor, {}};
    (void)OptionValues::resolve(ferry::core_options(), {&setting, 1}, problems);
  }
  CHECK(problems.empty());
  for (const char* spin : {"", "on", "2s", "20"}) {
    const OptionSetting setting{"spin", spin, OptionSource::descriptor, {}};
    (void)OptionValues::resolve(ferry::core_options(), {&setting, 1}, problems);
  }
  CHECK(problems.size() == 4);
}

TEST_CASE("an option that listening needs is missed by name, with its help") {
  std::vector<std::string> problems;
  constexpr std::string_view words = "listening needs the option 'cert': help";
  CHECK(OptionValues::resolve(table(), {}, problems).missing_to_listen() == words);
  const OptionSetting empty{"cert", "", OptionSource::descriptor, {}};
  CHECK(OptionValues::resolve(table(), {&empty, 1}, problems).missing_to_listen() == words);
  const OptionSetting given{"cert", "file", OptionSource::descriptor, {}};
  CHECK(OptionValues::resolve(table(), {&given, 1}, problems).missing_to_listen().empty());
  CHECK(problems.empty());
}

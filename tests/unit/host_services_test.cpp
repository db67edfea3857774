// The table that plugins receive: clock, deadlines, and a log that a peer cannot forge or flood.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "ferry/deadline.hpp"
#include "ferry/log.hpp"
#include "ferry/log_limit.hpp"
#include "ferry/registry.hpp"

namespace {

constexpr std::int64_t second_ns = 1'000'000'000;

// What was written to standard error while it lived.
class StandardError {
 public:
  StandardError() : kept_(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)), file_(std::tmpfile()) {
    REQUIRE(kept_ >= 0);
    REQUIRE(file_ != nullptr);
    std::fflush(stderr);
    REQUIRE(::dup2(::fileno(file_), STDERR_FILENO) >= 0);
  }
  StandardError(const StandardError&) = delete;
  StandardError& operator=(const StandardError&) = delete;
  ~StandardError() {
    std::fflush(stderr);
    ::dup2(kept_, STDERR_FILENO);
    ::close(kept_);
    std::fclose(file_);
  }
  std::string text() const {
    std::fflush(stderr);
    std::string text(1 << 20, '\0');
    const ssize_t count = ::pread(::fileno(file_), text.data(), text.size(), 0);
    text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
    return text;
  }

 private:
  int kept_;
  std::FILE* file_;
};

std::int64_t lines_in(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

}  // namespace

TEST_CASE("timeout_ms rounds up, so that a wait never ends before its deadline") {
  const ferry_host& host = ferry::host_for("clock");
  CHECK(host.timeout_ms(&host, FERRY_NO_WAIT) == 0);
  CHECK(host.timeout_ms(&host, FERRY_FOREVER) == -1);
  CHECK(host.timeout_ms(&host, host.now_ns(&host) - 1) == 0);
  CHECK(host.timeout_ms(&host, 1) == 0);
  CHECK(host.timeout_ms(&host, FERRY_FOREVER - 1) == std::numeric_limits<std::int32_t>::max());
  const std::int64_t deadline = host.now_ns(&host) + 100 * second_ns + 1;
  const std::int32_t left_ms = host.timeout_ms(&host, deadline);
  CHECK(left_ms <= 100'001);
  CHECK(host.now_ns(&host) + std::int64_t{left_ms} * 1'000'000 >= deadline);
}

TEST_CASE("a deadline saturates instead of wrapping, and a span of nothing does not wait") {
  using namespace std::chrono_literals;
  CHECK(ferry::Deadline(std::chrono::nanoseconds::max()).ns() == FERRY_FOREVER);
  CHECK(ferry::Deadline(0s).ns() == FERRY_NO_WAIT);
  CHECK(ferry::Deadline(-5s).ns() == FERRY_NO_WAIT);
  CHECK(ferry::Deadline(1h).ns() > ferry::monotonic_now_ns());
  CHECK_FALSE(ferry::Deadline::never().passed());
  CHECK_FALSE(ferry::Deadline(1h).passed());
  CHECK(ferry::Deadline::no_wait().passed());
  CHECK(ferry::Deadline::at_ns(1).passed());
}

TEST_CASE("each plugin has one table, named in its lines") {
  const ferry_host& host = ferry::host_for("carrier");
  CHECK(&ferry::host_for("carrier") == &host);
  CHECK(&ferry::host_for("other") != &host);
  const StandardError error;
  host.log(&host, FERRY_LOG_INFO, "hello");
  CHECK(error.text().find("info [ferry.carrier] hello\n") != std::string::npos);
}

TEST_CASE("what a peer sent cannot forge a line or drive the terminal") {
  const ferry_host& host = ferry::host_for("forged");
  const StandardError error;
  host.log(&host, FERRY_LOG_WARNING, "name\n2026-01-01 error [ferry.host] all is lost\033[2J");
  CHECK(lines_in(error.text()) == 1);
  CHECK(error.text().find("name\\x0a2026") != std::string::npos);
  CHECK(error.text().find('\033') == std::string::npos);
}

TEST_CASE("a misbehaving peer is marked, counted always, and shown at a bounded rate") {
  const ferry_host& host = ferry::host_for("flooded");
  const std::uint64_t before = ferry::peer_misbehaviour_count();
  const StandardError error;
  for (int i = 0; i < 10'000; ++i) host.log(&host, FERRY_LOG_PEER_MISBEHAVING, "sent nonsense");
  CHECK(ferry::peer_misbehaviour_count() - before == 10'000);
  CHECK(error.text().find("warning [ferry.flooded] peer misbehaving: sent nonsense") != std::string::npos);
  CHECK(lines_in(error.text()) < 100);
}

TEST_CASE("the level hides what is below it, and JSON lines parse whatever their text") {
  const ferry_host& host = ferry::host_for("levels");
  ferry::configure_logging("warning", "json");
  const StandardError error;
  host.log(&host, FERRY_LOG_INFO, "hidden");
  host.log(&host, FERRY_LOG_ERROR, "quote \" and bad UTF-8 \xff");
  ferry::configure_logging("info", "text");
  REQUIRE(lines_in(error.text()) == 1);
  const auto line = nlohmann::json::parse(error.text());
  CHECK(line["level"] == "error");
  CHECK(line["logger"] == "ferry.levels");
  CHECK(line["message"].get<std::string>().starts_with("quote \" and bad UTF-8 "));
  CHECK(line["time"].get<std::string>().ends_with("Z"));
}

TEST_CASE("an unknown level or format is refused with the choices") {
  CHECK_THROWS_WITH_AS(ferry::configure_logging("loud", "text"),
                       "set log level loud: use trace, debug, info, warning, error or off", ferry::Error);
  CHECK_THROWS_AS(ferry::configure_logging("info", "xml"), ferry::Error);
}

TEST_CASE("the limit lets a burst through, then one line an interval, and tells how many it held back") {
  ferry::LogLimit limit(3, second_ns);
  std::uint64_t suppressed = 99;
  const std::int64_t start = 1000 * second_ns;
  for (int i = 0; i < 3; ++i) CHECK(limit.allow(start, suppressed));
  CHECK(suppressed == 0);
  CHECK_FALSE(limit.allow(start, suppressed));
  CHECK_FALSE(limit.allow(start + second_ns - 1, suppressed));
  CHECK(limit.allow(start + second_ns, suppressed));
  CHECK(suppressed == 2);
  CHECK_FALSE(limit.allow(start + second_ns, suppressed));
}

// How tests say what they expect. A failed expectation ends the process at once, from any thread: other threads may be
// blocked in the plugin for ever, and waiting for them would turn a clear reason into a time-out.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <sstream>
#include <string>
#include <string_view>

#include "ferry/abi.h"
#include "report.hpp"

namespace ferry::conformance {

/// Ends this process, with the outcome in the report that set_outcome_report gave.
[[noreturn]] void fail(const std::string& reason);
[[noreturn]] void skip(const std::string& reason);
/// Set once, before the first thread. `prefix` stands before each reason; `aloud` prints it too, for a person who
/// watches.
void set_outcome_report(Report& report, std::string_view prefix, bool aloud) noexcept;
/// The report set above.
Report& outcome_report() noexcept;

template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}

/// Fails with the parts put together unless `holds`.
template <class... Parts>
void require(bool holds, const Parts&... parts) {
  if (!holds) fail(concat(parts...));
}

/// "FERRY_TIMED_OUT", or "12 bytes" for counts.
std::string result_text(std::int64_t result);

/// Fails unless `result` is one of `allowed`: "`what` returned X instead of Y or Z".
void expect(std::int64_t result, std::initializer_list<std::int64_t> allowed, std::string_view what);

/// The ABI's clock, and deadlines on it.
std::int64_t now_ns() noexcept;
constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t second = 1000 * ms;
inline std::int64_t in(std::int64_t duration_ns) noexcept { return now_ns() + duration_ns; }
/// For calls that must succeed: long enough for a busy machine, short enough for the test's own limit.
inline std::int64_t soon() noexcept { return in(10 * second); }

/// Calls `call(deadline)`, which must have to wait, with FERRY_NO_WAIT, with a deadline past and with deadlines ahead:
/// WOULD_BLOCK at once, TIMED_OUT at once, TIMED_OUT never early and not much late (the best of three, on busy
/// machines).
template <class F>
void expect_deadlines(std::string_view what, F&& call);

void check_timing(std::string_view what, std::int64_t start, std::int64_t deadline, std::int64_t& best_late_ns);

// ---------------------------------------------------------------------------------------------- implementation

inline constexpr std::int64_t tolerated_late_ns = 250 * ms;

template <class F>
void expect_deadlines(std::string_view what, F&& call) {
  const auto measured = [&](std::int64_t wait_ns, std::int64_t expected, auto deadline_of) {
    std::int64_t best_late = INT64_MAX;
    for (int round = 0; round < 3 && best_late > tolerated_late_ns; ++round) {
      const std::int64_t start = now_ns();
      const std::int64_t deadline = deadline_of(start);
      expect(call(deadline), {expected}, concat(what, " with a deadline ", wait_ns / ms, " ms ahead"));
      check_timing(what, start, start + wait_ns, best_late);
    }
    require(best_late <= tolerated_late_ns, what, " returned ", best_late / ms, " ms after its deadline, ",
            wait_ns / ms, " ms ahead, in three rounds");
  };
  measured(0, FERRY_WOULD_BLOCK, [](std::int64_t) { return FERRY_NO_WAIT; });
  measured(0, FERRY_TIMED_OUT, [](std::int64_t start) { return start - 5 * ms; });
  measured(0, FERRY_TIMED_OUT, [](std::int64_t) { return std::int64_t{1}; });
  for (const std::int64_t wait : {3 * ms, 40 * ms, 120 * ms}) {
    measured(wait, FERRY_TIMED_OUT, [wait](std::int64_t start) { return start + wait; });
  }
}

}  // namespace ferry::conformance

#include "check.hpp"

#include <unistd.h>

#include <array>
#include <iostream>

#include "ferry/deadline.hpp"

namespace ferry::conformance {
namespace {

Report* report_of_test = nullptr;
std::string_view reason_prefix;
bool reasons_are_printed = false;

void finish(Outcome outcome, const std::string& reason) {
  report_of_test->finish(outcome, concat(reason_prefix, reason));
  if (reasons_are_printed) std::cout << (outcome == Outcome::failed ? "failed: " : "skipped: ") << reason << std::endl;
}

constexpr std::array<std::string_view, 20> status_names{
    "FERRY_OK",          "FERRY_WOULD_BLOCK",  "FERRY_TIMED_OUT",
    "FERRY_END",         "FERRY_INTERRUPTED",  "FERRY_RESET",
    "FERRY_REFUSED",     "FERRY_UNREACHABLE",  "FERRY_ADDRESS_IN_USE",
    "FERRY_NOT_FOUND",   "FERRY_PERMISSION",   "FERRY_INVALID",
    "FERRY_UNSUPPORTED", "FERRY_NO_RESOURCES", "FERRY_TOO_LARGE",
    "FERRY_PROTOCOL",    "FERRY_CLOSED",       "FERRY_AUTHENTICATION",
    "FERRY_IO",          "FERRY_INTERNAL"};

}  // namespace

void set_outcome_report(Report& report, std::string_view prefix, bool aloud) noexcept {
  report_of_test = &report;
  reason_prefix = prefix;
  reasons_are_printed = aloud;
}

Report& outcome_report() noexcept { return *report_of_test; }

void fail(const std::string& reason) {
  finish(Outcome::failed, reason);
  ::_exit(1);
}

void skip(const std::string& reason) {
  finish(Outcome::skipped, reason);
  ::_exit(0);
}

std::string result_text(std::int64_t result) {
  if (result > 0) return std::to_string(result) + (result == 1 ? " byte" : " bytes");
  const auto index = static_cast<std::uint64_t>(-result);
  return index < status_names.size() ? std::string(status_names[index])
                                     : "the unknown status " + std::to_string(result);
}

void expect(std::int64_t result, std::initializer_list<std::int64_t> allowed, std::string_view what) {
  std::string wanted;
  for (const std::int64_t one : allowed) {
    if (one == result) return;
    wanted += (wanted.empty() ? "" : " or ") + result_text(one);
  }
  fail(concat(what, " returned ", result_text(result), " instead of ", wanted));
}

std::int64_t now_ns() noexcept { return monotonic_now_ns(); }

void check_timing(std::string_view what, std::int64_t start, std::int64_t deadline, std::int64_t& best_late_ns) {
  const std::int64_t end = now_ns();
  require(end >= deadline, what, " timed out ", (deadline - end) / 1000, " us before its deadline, ",
          (deadline - start) / ms, " ms ahead");
  if (end - deadline < best_late_ns) best_late_ns = end - deadline;
}

}  // namespace ferry::conformance

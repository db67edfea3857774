#include "results.hpp"

#include <algorithm>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <ostream>

#include "ferry/abi.h"

namespace ferry::conformance {
namespace {

constexpr std::pair<std::uint64_t, std::string_view> capabilities[] = {
    {FERRY_CAP_STREAM, "stream"},         {FERRY_CAP_RECORDS, "records"},
    {FERRY_CAP_HALF_CLOSE, "half_close"}, {FERRY_CAP_RESET, "reset"},
    {FERRY_CAP_LOCAL, "local"},           {FERRY_CAP_REMOTE, "remote"},
    {FERRY_CAP_LENDING, "lending"},       {FERRY_CAP_CREDENTIALS, "credentials"},
    {FERRY_CAP_FD_PASSING, "fd_passing"}, {FERRY_CAP_ENCRYPTED, "encrypted"},
    {FERRY_CAP_EPHEMERAL, "ephemeral"},   {FERRY_CAP_STREAMS, "streams"},
    {FERRY_CAP_DATAGRAMS, "datagrams"},   {FERRY_CAP_IDENTITY, "identity"},
};

std::string_view word(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::passed:
      return "passed";
    case Outcome::skipped:
      return "skipped";
    default:
      return "failed";
  }
}

std::string_view colour_of(Outcome outcome) noexcept {
  switch (outcome) {
    case Outcome::passed:
      return "\x1b[32m";
    case Outcome::skipped:
      return "\x1b[33m";
    default:
      return "\x1b[31m";
  }
}

std::string indented(const std::string& text) {
  std::string lines = "          ";
  for (const char c : text) {
    lines += c;
    if (c == '\n') lines += "          ";
  }
  return lines;
}

/// Text of XML 1.0, which cannot hold most control characters at all.
std::string xml(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? '?' : c;
    }
  }
  return out;
}

}  // namespace

std::size_t Summary::count(Outcome outcome) const noexcept {
  return static_cast<std::size_t>(
      std::count_if(results.begin(), results.end(), [outcome](const Result& r) { return r.outcome == outcome; }));
}

std::string capability_names(std::uint64_t bits) {
  std::string names;
  for (const auto& [bit, name] : capabilities) {
    if ((bits & bit) == 0) continue;
    if (!names.empty()) names += ", ";
    names += name;
  }
  return names;
}

void print_heading(std::ostream& out, const PluginFacts& plugin) {
  out << plugin.name << " " << plugin.version << " (" << plugin.path.string() << ")\n"
      << "capabilities: " << capability_names(plugin.capabilities) << "\n\n";
}

void print_result(std::ostream& out, const Result& result, bool colour) {
  out << "  " << (colour ? colour_of(result.outcome) : "") << std::left << std::setw(8) << word(result.outcome)
      << (colour ? "\x1b[0m" : "") << std::setw(28) << result.name << std::right << std::fixed << std::setprecision(3)
      << std::setw(8) << result.seconds << " s";
  if (result.outcome == Outcome::skipped) out << "  " << result.reason;
  out << "\n";
  if (result.outcome != Outcome::failed) return;
  out << indented(result.reason) << "\n" << indented("must hold: " + result.summary) << "\n";
  if (!result.output.empty()) out << indented("its output ends with:\n" + result.output) << "\n";
}

void print_totals(std::ostream& out, const Summary& summary, bool colour) {
  double seconds = 0;
  for (const Result& result : summary.results) seconds += result.seconds;
  const bool good = summary.count(Outcome::failed) == 0;
  out << "\n"
      << (colour ? colour_of(good ? Outcome::passed : Outcome::failed) : "") << summary.count(Outcome::passed)
      << " passed, " << summary.count(Outcome::failed) << " failed, " << summary.count(Outcome::skipped) << " skipped"
      << (colour ? "\x1b[0m" : "") << " in " << std::fixed << std::setprecision(1) << seconds << " s\n";
}

void print_json(std::ostream& out, const Summary& summary) {
  nlohmann::ordered_json tests = nlohmann::ordered_json::array();
  for (const Result& result : summary.results) {
    nlohmann::ordered_json row{{"name", result.name}, {"outcome", word(result.outcome)}, {"seconds", result.seconds}};
    if (!result.reason.empty()) row["reason"] = result.reason;
    if (!result.output.empty()) row["output"] = result.output;
    tests.push_back(std::move(row));
  }
  const nlohmann::ordered_json document{{"plugin",
                                         {{"name", summary.plugin.name},
                                          {"version", summary.plugin.version},
                                          {"path", summary.plugin.path.string()},
                                          {"capabilities", capability_names(summary.plugin.capabilities)}}},
                                        {"passed", summary.count(Outcome::passed)},
                                        {"failed", summary.count(Outcome::failed)},
                                        {"skipped", summary.count(Outcome::skipped)},
                                        {"tests", std::move(tests)}};
  out << document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
}

void print_json(std::ostream& out, std::span<const Test> tests) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Test& test : tests)
    rows.push_back({{"name", test.name}, {"summary", test.summary}, {"needs", capability_names(test.needs)}});
  out << rows.dump(2) << std::endl;
}

void write_junit(std::ostream& out, const Summary& summary) {
  out << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"" << xml(summary.plugin.name) << "\" tests=\""
      << summary.results.size() << "\" failures=\"" << summary.count(Outcome::failed) << "\" skipped=\""
      << summary.count(Outcome::skipped) << "\">\n";
  for (const Result& result : summary.results) {
    out << "  <testcase classname=\"" << xml(summary.plugin.name) << "\" name=\"" << xml(result.name) << "\" time=\""
        << result.seconds << "\">";
    if (result.outcome == Outcome::failed) {
      out << "<failure message=\"" << xml(result.reason) << "\">" << xml(result.output) << "</failure>";
    }
    if (result.outcome == Outcome::skipped) out << "<skipped message=\"" << xml(result.reason) << "\"/>";
    out << "</testcase>\n";
  }
  out << "</testsuite>" << std::endl;
}

}  // namespace ferry::conformance

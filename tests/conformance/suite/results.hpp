// What the runner found out, and how it is shown.
#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "report.hpp"
#include "suite.hpp"

namespace ferry::conformance {

struct Result {
  std::string name;
  std::string summary;
  Outcome outcome = Outcome::running;
  std::string reason;  ///< of a failure or a skip
  std::string output;  ///< what a failed test's process wrote to its standard error
  double seconds = 0;
};

struct PluginFacts {
  std::filesystem::path path;
  std::string name;
  std::string version;
  std::uint64_t capabilities = 0;
};

struct Summary {
  PluginFacts plugin;
  std::vector<Result> results;
  std::size_t count(Outcome outcome) const noexcept;
};

/// "half_close, reset": the capabilities in `bits`.
std::string capability_names(std::uint64_t bits);

void print_heading(std::ostream& out, const PluginFacts& plugin);
void print_result(std::ostream& out, const Result& result, bool colour);
void print_totals(std::ostream& out, const Summary& summary, bool colour);
void print_json(std::ostream& out, const Summary& summary);
void print_json(std::ostream& out, std::span<const Test> tests);
void write_junit(std::ostream& out, const Summary& summary);

}  // namespace ferry::conformance

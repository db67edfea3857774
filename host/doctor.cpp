// `ferry doctor`: what this machine grants that transports depend on, and what to do where it is too little.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "context.hpp"
#include "doctor_checks.hpp"

namespace ferry::host {
namespace {

void print_text(const std::vector<Finding>& findings) {
  for (const auto& finding : findings) {
    std::cout << (finding.fine() ? "ok    " : "WARN  ") << finding.subject << ": " << finding.found << "\n";
    if (!finding.fine()) std::cout << "      " << finding.advice << "\n";
  }
}

void print_json(const std::vector<Finding>& findings) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const auto& finding : findings) {
    rows.push_back(
        {{"subject", finding.subject}, {"found", finding.found}, {"ok", finding.fine()}, {"advice", finding.advice}});
  }
  std::cout << rows.dump(2) << "\n";
}

ExitCode doctor(const Context& context) {
  const auto findings = examine_system();
  context.json ? print_json(findings) : print_text(findings);
  for (const auto& finding : findings)
    if (!finding.fine()) return ExitCode::operation;
  return ExitCode::ok;
}

}  // namespace

void add_doctor(CLI::App& app, Context& context) {
  add_verb(app, context, "doctor", "Check this machine's limits and say what to change",
           [&context] { return doctor(context); });
}

}  // namespace ferry::host

// `ferry doctor`: what this machine and this installation grant that transports depend on, and what to do where it is
// too little.
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "context.hpp"
#include "doctor_checks.hpp"
#include "json.hpp"

namespace ferry::host {
namespace {

void print_text(const std::vector<Finding>& findings) {
  for (const auto& finding : findings) {
    std::cout << (finding.fine() ? "ok    " : "WARN  ") << finding.subject << ": " << finding.found << "\n";
    if (!finding.fine()) std::cout << "      " << finding.advice << "\n";
  }
}

Json as_json(const std::vector<Finding>& findings) {
  Json rows = Json::array();
  for (const auto& finding : findings) {
    rows.push_back(
        {{"subject", finding.subject}, {"found", finding.found}, {"ok", finding.fine()}, {"advice", finding.advice}});
  }
  return rows;
}

bool all_fine(const std::vector<Finding>& findings) {
  return std::all_of(findings.begin(), findings.end(), [](const Finding& finding) { return finding.fine(); });
}

ExitCode doctor(const Context& context) {
  std::vector<Finding> findings = examine_plugins(context.registry_policy());
  const bool plugins_fine = all_fine(findings);
  const std::vector<Finding> system = examine_system();
  findings.insert(findings.end(), system.begin(), system.end());
  context.json ? print_json(as_json(findings)) : print_text(findings);
  if (!plugins_fine) return ExitCode::plugin;
  return all_fine(system) ? ExitCode::ok : ExitCode::operation;
}

}  // namespace

void add_doctor(Command& ferry, Context& context) {
  add_verb(ferry, context, "doctor", "Check plugin folders and this machine's limits, and say what to change",
           [&context] { return doctor(context); });
}

}  // namespace ferry::host

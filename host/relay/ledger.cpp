#include "relay/ledger.hpp"

#include <spdlog/fmt/fmt.h>

#include "json.hpp"

namespace ferry::host {
namespace {

Json as_json(const FlowLedger& flow) {
  return {{"in", flow.in}, {"out", flow.out}, {"spliced", flow.spliced}, {"unaccounted", flow.unaccounted()}};
}

}  // namespace

void print_ledger(const Ledger& ledger, bool json) {
  if (json) {
    return print_json_line({{"event", "ledger"},
                            {"connections", ledger.connections},
                            {"connect_failures", ledger.connect_failures},
                            {"resets", ledger.resets},
                            {"cut", ledger.cut},
                            {"to_target", as_json(ledger.to_target)},
                            {"to_client", as_json(ledger.to_client)},
                            {"unaccounted", ledger.unaccounted()}});
  }
  std::cerr << fmt::format(
      "relayed {} connections: {} without a target, {} reset, {} cut\n"
      "  to target  {} bytes in, {} out\n"
      "  to client  {} bytes in, {} out\n"
      "  {} bytes unaccounted for\n",
      ledger.connections, ledger.connect_failures, ledger.resets, ledger.cut, ledger.to_target.in, ledger.to_target.out,
      ledger.to_client.in, ledger.to_client.out, ledger.unaccounted());
}

ExitCode exit_code_of(const Ledger& ledger) noexcept {
  return ledger.unaccounted() == 0 ? ExitCode::ok : ExitCode::data_incomplete;
}

}  // namespace ferry::host

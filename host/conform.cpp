// ferry conform: the conformance suite against one plugin, anybody's.
#include "conformance/suite/conform.hpp"

#include <memory>

#include "context.hpp"

namespace ferry::host {

void add_conform(Command& ferry, Context& context) {
  auto settings = std::make_shared<conformance::Settings>();
  Command verb =
      add_verb(ferry, context, "conform", "Test a transport plugin against the ABI's contract", [&context, settings] {
        settings->json = context.json;
        settings->plugin_dirs = context.plugin_dirs;
        return static_cast<ExitCode>(conformance::run(*settings, {"conform"}));
      });
  conformance::add_options(verb, *settings);
}

}  // namespace ferry::host

// `ferry relay`: one relay without a config file, ending with its ledger.
#include <memory>
#include <string>

#include "context.hpp"
#include "daemon.hpp"
#include "limits.hpp"
#include "options.hpp"
#include "relay/ledger.hpp"
#include "serve/server.hpp"

namespace ferry::host {
namespace {

constexpr std::uint32_t default_max_connections = 10'000;

struct Arguments {
  std::string listen;
  std::string connect;
  std::string config;
  std::int64_t drain_ns = default_drain_ns;
  std::uint32_t max_connections = default_max_connections;
  bool once = false;
};

ServiceConfig as_service(const Arguments& arguments, const Runtime& runtime) {
  ServiceConfig service;
  service.name = "relay";
  service.kind = ServiceKind::relay;
  service.listen = runtime.endpoints_of(arguments.listen);
  service.to = runtime.endpoints_of(arguments.connect);
  const auto link = runtime.config().links.find(arguments.connect);
  if (link != runtime.config().links.end()) {
    service.to_link = link->first;
    if (!link->second.authkey.empty()) {
      throw Failure(ExitCode::config,
                    "link '" + link->first +
                        "' has an \"authkey\", which a relay cannot use: it passes bytes on; name the "
                        "endpoints instead, and let the clients prove the key to them");
    }
  }
  service.max_connections = arguments.max_connections;
  return service;
}

ExitCode relay(const Context& context, const Arguments& arguments) {
  const auto runtime = std::make_shared<Runtime>(context.make_runtime(arguments.config));
  const ServiceConfig service = as_service(arguments, *runtime);
  for (const ConfiguredEndpoint& endpoint : service.to) (void)runtime->resolve(endpoint);  // fails now, not at a client
  raise_descriptor_limit();
  Reactor reactor;
  std::unique_ptr<Daemon> daemon;
  Server server(reactor, context.json, [&daemon] { daemon->departed(); });
  daemon = std::make_unique<Daemon>(reactor, arguments.drain_ns,
                                    Daemon::Hooks{[&server] { server.stop_accepting(); },
                                                  [&server] { return server.live(); },
                                                  [&server] { server.cut(); },
                                                  {}});
  if (arguments.once) server.on_accept([&] { reactor.post([&] { daemon->drain_without_bound(); }); });
  server.apply({service}, runtime);
  daemon->run();
  const Ledger ledger = server.ledger();
  print_ledger(ledger, context.json);
  if (arguments.once && ledger.unaccounted() == 0 && ledger.connect_failures != 0) return ExitCode::connect;
  return exit_code_of(ledger);
}

}  // namespace

void add_relay(Command& ferry, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  Command verb =
      add_verb(ferry, context, "relay", "Relay every client of LISTEN to CONNECT; ends with a ledger of bytes",
               [&context, arguments] { return relay(context, *arguments); });
  verb.option("LISTEN", arguments->listen, "The descriptor to listen at, or a comma-separated list").required();
  verb.option("CONNECT", arguments->connect, "The descriptor to connect to, a list tried in order, or a link")
      .required();
  verb.option("--config", arguments->config, "The config file that has the links and defaults");
  verb.flag("--once", arguments->once, "Relay one client and end");
  verb.option("--max-connections", arguments->max_connections, "Clients beyond this are turned away")
      .range(1u, 1'000'000u)
      .show_default();
  add_duration(verb, "--drain-timeout", arguments->drain_ns,
               "How long SIGTERM lets live connections finish [10s]; a second SIGTERM ends at once");
}

}  // namespace ferry::host

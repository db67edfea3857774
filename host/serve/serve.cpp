// `ferry serve`: runs the services of a config file, follows its changes, and drains when told to end.
#include <memory>
#include <sstream>
#include <string>

#include "context.hpp"
#include "daemon.hpp"
#include "limits.hpp"
#include "logging.hpp"
#include "options.hpp"
#include "relay/ledger.hpp"
#include "serve/server.hpp"

namespace ferry::host {
namespace {

struct Arguments {
  std::string config;
  std::int64_t drain_ns = default_drain_ns;
};

// Nothing of the running configuration is touched before all of the new one has been found good.
std::shared_ptr<Runtime> load_runtime(const Context& context, const std::string& file) {
  const auto runtime = std::make_shared<Runtime>(context.load_checked_config(file));
  if (runtime->config().services.empty()) {
    throw Failure(ExitCode::config, file + ": no services to run; add them under \"services\"");
  }
  return runtime;
}

void reload(const Context& context, const std::string& file, Server& server) {
  try {
    const auto runtime = load_runtime(context, file);
    server.apply(runtime->config().services, runtime);
    log_line(FERRY_LOG_INFO, "reloaded {}", file);
  } catch (const std::exception& error) {
    log_line(FERRY_LOG_ERROR, "reload failed; going on with the configuration of before");
    std::istringstream reasons(error.what());
    for (std::string line; std::getline(reasons, line);) log_line(FERRY_LOG_ERROR, "{}", line);
  }
}

// Options that no address can be listened at with are a fault of the file: a restart would only meet it again.
void open_services(Server& server, const std::shared_ptr<Runtime>& runtime, const std::string& file) {
  try {
    server.apply(runtime->config().services, runtime);
  } catch (const Error& error) {
    if (error.status() != Status::invalid) throw;
    throw Failure(ExitCode::config, file + ": " + error.what());
  }
}

ExitCode serve(const Context& context, const Arguments& arguments) {
  const auto runtime = load_runtime(context, arguments.config);
  raise_descriptor_limit();
  Reactor reactor;
  std::unique_ptr<Daemon> daemon;
  Server server(reactor, context.json, [&daemon] { daemon->departed(); });
  daemon = std::make_unique<Daemon>(
      reactor, arguments.drain_ns,
      Daemon::Hooks{[&server] { server.stop_accepting(); }, [&server] { return server.live(); },
                    [&server] { server.cut(); }, [&] { reload(context, arguments.config, server); }});
  open_services(server, runtime, arguments.config);
  daemon->run();
  if (!server.has_relayed()) return ExitCode::ok;
  const Ledger ledger = server.ledger();
  print_ledger(ledger, context.json);
  return exit_code_of(ledger);
}

}  // namespace

void add_serve(Command& ferry, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  Command verb = add_verb(ferry, context, "serve", "Run the services of a config file",
                          [&context, arguments] { return serve(context, *arguments); });
  verb.option("CONFIG", arguments->config, "The config file; SIGHUP reads it again").required();
  add_duration(verb, "--drain-timeout", arguments->drain_ns,
               "How long SIGTERM lets live connections finish [10s]; a second SIGTERM ends at once");
}

}  // namespace ferry::host

// The `ferry` command: parse the whole command line, then run one verb.
#include <CLI/CLI.hpp>
#include <iostream>
#include <sstream>

#include "context.hpp"
#include "exit_code.hpp"
#include "ferry/log.hpp"
#include "standard_streams.hpp"
#include "usage.hpp"

namespace ferry::host {
namespace {

std::string footer() {
  std::ostringstream text;
  text << "Exit codes:\n";
  for (const auto& row : exit_codes) text << "  " << static_cast<int>(row.code) << "  " << row.meaning << "\n";
  return text.str();
}

void report(const Context& context, const std::string& message) {
  if (context.log_format == "json") {
    log(FERRY_LOG_ERROR, "ferry.host", message);
  } else {
    std::cerr << "ferry: " << message << std::endl;
  }
}

ExitCode run(Context& context, int argc, char** argv) {
  CLI::App app("Carries bytes and messages between programs over whichever transport fits.", "ferry");
  app.require_subcommand(1);
  app.allow_windows_style_options(false);  // the same command line everywhere; a path may begin with a slash
  app.set_version_flag("--version", FERRY_VERSION, "Print the version and exit");
  app.get_formatter()->label("SUBCOMMAND", "VERB");
  app.footer(footer());
  Command ferry(app);
  add_common_options(ferry, context);
  add_verbs(ferry, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return static_cast<ExitCode>(app.exit(error));  // --help, --version
    std::cerr << "ferry: " << explain_usage_error(app, error) << std::endl;
    return ExitCode::usage;
  }
  configure_logging(context.log_level.empty() ? "info" : context.log_level,
                    context.log_format.empty() ? "text" : context.log_format);
  try {
    return context.action();
  } catch (const std::exception& error) {
    report(context, error.what());
    return exit_code_of(error);
  }
}

}  // namespace

int run_and_flush(int argc, char** argv) {
  fill_closed_standard_streams();
  Context context;
  const ExitCode code = run(context, argc, argv);
  if (std::cout.flush()) return static_cast<int>(code);
  report(context, "write standard output: not all of the result could be written");
  return static_cast<int>(code == ExitCode::ok ? ExitCode::operation : code);
}

}  // namespace ferry::host

int main(int argc, char** argv) { return ferry::host::run_and_flush(argc, argv); }

// `ferry connect` and `ferry listen`: standard input and output over one connection.
//
// Standard output carries the peer's bytes, so readiness and the --json report go to standard error.
#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "context.hpp"
#include "exchange/exchange.hpp"
#include "json.hpp"
#include "logging.hpp"
#include "options.hpp"

namespace ferry::host {
namespace {

struct Arguments {
  std::string target;
  std::string config;
  std::int64_t deadline_ns = FERRY_FOREVER;
  bool messages = false;
};

Deadline deadline_of(const Arguments& arguments) {
  if (arguments.deadline_ns == FERRY_FOREVER) return Deadline::never();
  return Deadline(std::chrono::nanoseconds(arguments.deadline_ns));
}

void print_to_standard_error(const Json& value) {
  std::cerr << value.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
}

ExitCode finish(const Context& context, const ExchangeReport& report) {
  if (context.json) {
    print_to_standard_error(
        {{"event", "ended"}, {"sent", report.sent}, {"received", report.received}, {"problem", report.problem}});
  }
  if (report.code != ExitCode::ok) throw Failure(report.code, report.problem);
  return ExitCode::ok;
}

std::string authkey_of(const Runtime& runtime, const std::string& target) {
  const auto link = runtime.config().links.find(target);
  return link == runtime.config().links.end() ? std::string() : link->second.authkey;
}

ExitCode connect(const Context& context, const Arguments& arguments) {
  Runtime runtime = context.make_runtime(arguments.config);
  const Deadline deadline = deadline_of(arguments);
  const std::string authkey = authkey_of(runtime, arguments.target);
  if (!authkey.empty() && !arguments.messages) {
    throw Failure(ExitCode::usage, "link '" + arguments.target + "' has an \"authkey\", which is for --messages alone");
  }
  const auto endpoints = runtime.endpoints_of(arguments.target);
  if (endpoints.size() == 1) (void)runtime.resolve(endpoints.front());  // a missing plugin is no failed connection
  Connection connection = runtime.connect_stream(arguments.target, deadline);
  if (!arguments.messages) return finish(context, exchange_bytes(std::move(connection), deadline));
  Channel channel(std::move(connection));
  if (!authkey.empty()) channel.authenticate_as_client(authkey, deadline);
  return finish(context, exchange_messages(std::move(channel), deadline));
}

// A client who is refused, or gives up on the way, is nobody's end but his own: the next one may be the right one.
Connection accept_one(Listener& listener, Deadline deadline) {
  LogLimit limit = one_line_a_second();
  for (;;) {
    try {
      return listener.accept(deadline);
    } catch (const Error& error) {
      if (!is_of_one_client(error.status())) throw;
      std::uint64_t more = 0;
      if (limit.allow(monotonic_now_ns(), more)) log_line(FERRY_LOG_WARNING, "{} ({} more so)", error.what(), more);
    }
  }
}

ExitCode listen(const Context& context, const Arguments& arguments) {
  Runtime runtime = context.make_runtime(arguments.config);
  const Deadline deadline = deadline_of(arguments);
  Listener listener = runtime.listen(arguments.target);
  if (context.json) {
    print_to_standard_error({{"event", "listening"}, {"descriptor", listener.descriptor()}});
  } else {
    std::cerr << "listening " << listener.descriptor() << std::endl;
  }
  Connection connection = accept_one(listener, deadline);
  listener.close();
  if (arguments.messages) return finish(context, exchange_messages(Channel(std::move(connection)), deadline));
  return finish(context, exchange_bytes(std::move(connection), deadline));
}

void add_arguments(Command verb, const std::shared_ptr<Arguments>& arguments, const std::string& target,
                   const std::string& help) {
  verb.option(target, arguments->target, help).required();
  verb.option("--config", arguments->config, "The config file that has the links and defaults");
  verb.flag("--messages", arguments->messages, "A line is a message, framed as Python's multiprocessing does");
  add_duration(verb, "--deadline", arguments->deadline_ns, "End with code 6 when it all takes longer [never]");
}

}  // namespace

void add_connect(Command& ferry, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  Command verb = add_verb(ferry, context, "connect", "Connect standard input and output to a descriptor or link",
                          [&context, arguments] { return connect(context, *arguments); });
  add_arguments(verb, arguments, "DESCRIPTOR|LINK", "What to connect to; a comma-separated list is tried in order");
}

void add_listen(Command& ferry, Context& context) {
  const auto arguments = std::make_shared<Arguments>();
  Command verb = add_verb(ferry, context, "listen", "Accept one client and connect it to standard input and output",
                          [&context, arguments] { return listen(context, *arguments); });
  add_arguments(verb, arguments, "DESCRIPTOR", "Where to listen; the dialable form is printed on standard error");
}

}  // namespace ferry::host

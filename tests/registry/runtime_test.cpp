// Links, option precedence, ordered and raced connects, and what a plugin hands over when it is used.
#include "ferry/runtime.hpp"

#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin_folder.hpp"

namespace fs = std::filesystem;
using ferry::Attempt;
using ferry::Config;
using ferry::Error;
using ferry::Runtime;
using ferry::Status;
using ferry::test::PluginFolder;

namespace {

Config config_for(const PluginFolder& folder, std::initializer_list<const char*> fixtures) {
  for (const char* fixture : fixtures) folder.add(fixture);
  Config config;
  config.plugins.plugin_dirs = {folder.path()};
  config.plugins.use_environment = false;
  config.plugins.use_default_dirs = false;
  return config;
}

ferry::LinkConfig link_to(std::string_view descriptors) {
  ferry::LinkConfig link;
  for (ferry::Endpoint& endpoint : ferry::parse_endpoints(descriptors)) link.endpoints.push_back({endpoint, {}, {}});
  return link;
}

// What the operation threw; fails the test when it threw nothing.
template <class Operation>
std::string failure_of(Operation operation, Status expected) {
  try {
    operation();
  } catch (const Error& error) {
    CHECK(ferry::name_of(error.status()) == ferry::name_of(expected));
    return error.what();
  }
  FAIL("it succeeded");
  return {};
}

void check_contains(const std::string& text, const std::string& expected) {
  INFO(text);
  INFO("expected: ", expected);
  CHECK(text.find(expected) != std::string::npos);
}

struct Cancel {
  Cancel() : fd(::eventfd(0, EFD_CLOEXEC)), abi{sizeof(ferry_cancel), 0, fd} { REQUIRE(fd >= 0); }
  Cancel(const Cancel&) = delete;
  Cancel& operator=(const Cancel&) = delete;
  ~Cancel() { ::close(fd); }
  void now() const { REQUIRE(::eventfd_write(fd, 1) == 0); }
  int fd;
  ferry_cancel abi;
};

}  // namespace

// --------------------------------------------------------------------------------------- what a plugin hands over

TEST_CASE("an unusable transport, listener or connection is an error that names the defect") {
  struct Row {
    const char* fixture;
    const char* scheme;
    bool listens;
    const char* reason;
  };
  constexpr Row rows[] = {
      {"throws_in_create", "throwing", true, "create transport throws_in_create: the plugin let an exception out"},
      {"unknown_status", "unknownstatus", true, "the plugin returned status -77, which the ABI does not define"},
      {"null_transport", "nulltransport", true, "it returned FERRY_OK and no transport"},
      {"null_listener", "nulllistener", true, "it returned FERRY_OK and no listener"},
      {"null_accept", "nullaccept", true, "listener->ops->accept is NULL"},
      {"null_connection", "nullconnection", false, "it returned FERRY_OK and no connection"},
      {"null_read", "nullread", false, "connection->ops->read is NULL"},
      {"short_connection_ops", "shortconnectionops", false, "connection->ops has struct_size 24"},
      {"positive_connect_status", "positiveconnectstatus", false, "the plugin returned status 5"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.fixture);
    const PluginFolder folder;
    Runtime runtime(config_for(folder, {row.fixture, "good"}));
    const std::string descriptor = std::string(row.scheme) + "://x";
    check_contains(failure_of(
                       [&] {
                         if (row.listens) {
                           runtime.listen(descriptor);
                         } else {
                           runtime.connect_stream(descriptor);
                         }
                       },
                       Status::internal),
                   row.reason);
    CHECK(runtime.connect_stream("good://x"));
    CHECK(runtime.listen("good://x"));
  }
}

TEST_CASE("accept that hands over nothing is an error that names the defect") {
  const PluginFolder folder;
  Runtime runtime(config_for(folder, {"null_accepted"}));
  ferry::Listener listener = runtime.listen("nullaccepted://x");
  check_contains(failure_of([&] { listener.accept(); }, Status::internal), "it returned FERRY_OK and no connection");
}

// ------------------------------------------------------------------------------------------------------- options

TEST_CASE("the nearest setting of an option wins: transports, link, endpoint object, descriptor") {
  const PluginFolder folder;
  Config config = config_for(folder, {"good"});
  const auto depth_of = [&](const ferry::ConfiguredEndpoint& endpoint) {
    Runtime runtime(config);
    const ferry::ResolvedEndpoint resolved = runtime.resolve(endpoint);
    return std::pair(resolved.options[0].integer, resolved.options.source(0));
  };
  ferry::ConfiguredEndpoint endpoint{ferry::parse_endpoint("good://x"), {}, {}};
  CHECK(depth_of(endpoint) == std::pair(std::int64_t{4}, ferry::OptionSource::table_default));
  config.transports["good"].push_back({"depth", "5", ferry::OptionSource::transport_config, {}});
  CHECK(depth_of(endpoint) == std::pair(std::int64_t{5}, ferry::OptionSource::transport_config));
  config.links["engine"] = link_to("good://x");
  config.links["engine"].settings.push_back({"depth", "6", ferry::OptionSource::link_config, {}});
  CHECK(depth_of(Runtime(config).endpoints_of("engine").front()).first == 6);
  config.links["engine"].endpoints[0].settings.push_back({"depth", "7", ferry::OptionSource::endpoint_object, {}});
  CHECK(depth_of(Runtime(config).endpoints_of("engine").front()).first == 7);
  config.links["engine"].endpoints[0].endpoint.options.push_back({"depth", "8"});
  CHECK(depth_of(Runtime(config).endpoints_of("engine").front()) ==
        std::pair(std::int64_t{8}, ferry::OptionSource::descriptor));
}

TEST_CASE("the core's own options become the connection's settings") {
  const PluginFolder folder;
  Runtime runtime(config_for(folder, {"good"}));
  const auto resolved = runtime.resolve("good://x?spin=off&linger=3s&max_message=1KiB&handshake_deadline=4s");
  CHECK(resolved.settings.wait.mode() == ferry::WaitPolicy::Mode::off);
  CHECK(resolved.settings.linger_ns == 3'000'000'000);
  CHECK(resolved.settings.max_message == 1024);
  CHECK(resolved.settings.handshake_ns == 4'000'000'000);
}

TEST_CASE("unknown and bad options are all reported at once, with the near miss") {
  const PluginFolder folder;
  Runtime runtime(config_for(folder, {"good"}));
  const std::string text =
      failure_of([&] { runtime.resolve("good://x?dpeth=3&eager=perhaps&linger=soon"); }, Status::invalid);
  check_contains(text, "did you mean 'depth'?");
  check_contains(text, "'perhaps' is neither true nor false");
  check_contains(text, "'soon'");
}

TEST_CASE("endpoints share a transport exactly when every option has the same value") {
  const PluginFolder folder;
  Runtime runtime(config_for(folder, {"fresh_transports"}));
  const auto* first = runtime.resolve("freshtransports://a").transport;
  CHECK(runtime.resolve("freshtransports://b").transport == first);
  CHECK(runtime.resolve("freshtransports://a?depth=9").transport != first);
}

// ------------------------------------------------------------------------------------------------------- connect

TEST_CASE("endpoints are tried in order; the attempts say which was taken and why the others were not") {
  const PluginFolder folder;
  Config config = config_for(folder, {"good", "refuses"});
  config.links["engine"] = link_to("absent://x,refuses://x,good://x,good://unused");
  Runtime runtime(config);
  std::vector<Attempt> attempts;
  const ferry::Connection connection = runtime.connect_stream("engine", ferry::Deadline::never(), &attempts);
  CHECK(connection.descriptor() == "good://x");
  REQUIRE(attempts.size() == 3);
  CHECK(attempts[0].status == Status::not_found);
  check_contains(attempts[0].message, "no plugin serves this scheme");
  CHECK(attempts[1].status == Status::refused);
  CHECK(attempts[1].message == "connection refused");
  CHECK(attempts[2].status == Status::ok);
  CHECK(attempts[2].message.empty());
}

TEST_CASE("when no endpoint takes the connection the error lists every attempt") {
  const PluginFolder folder;
  Config config = config_for(folder, {"refuses"});
  Runtime runtime(config);
  const std::string text = failure_of([&] { runtime.connect_stream("absent://x,refuses://y"); }, Status::refused);
  check_contains(text, "\n  absent://x: no plugin serves this scheme");
  check_contains(text, "\n  refuses://y: connection refused");
}

TEST_CASE("a name that is no link offers the near miss") {
  const PluginFolder folder;
  Config config = config_for(folder, {});
  config.links["engine"] = link_to("good://x");
  Runtime runtime(config);
  check_contains(failure_of([&] { runtime.connect_stream("engin"); }, Status::not_found), "did you mean 'engine'?");
}

TEST_CASE("a race starts the next endpoint beside one that does not answer, and cancels the loser") {
  const PluginFolder folder;
  Config config = config_for(folder, {"good", "never_answers"});
  config.links["engine"] = link_to("neveranswers://x,good://x");
  config.links["engine"].race = true;
  Runtime runtime(config);
  std::vector<Attempt> attempts;
  // Were the loser not cancelled, joining it would hang.
  CHECK(runtime.connect_stream("engine", ferry::Deadline::never(), &attempts).descriptor() == "good://x");
  REQUIRE(attempts.size() == 2);
  CHECK(attempts[0].status == Status::interrupted);
}

TEST_CASE("a race goes on to the next endpoint at once when one fails") {
  const PluginFolder folder;
  Config config = config_for(folder, {"good", "refuses"});
  config.links["engine"] = link_to("refuses://1,refuses://2,refuses://3,refuses://4,good://x");
  config.links["engine"].race = true;
  Runtime runtime(config);
  const std::int64_t start = ferry::monotonic_now_ns();
  CHECK(runtime.connect_stream("engine"));
  CHECK(ferry::monotonic_now_ns() - start < 1'000'000'000);  // four staggers of 250 ms otherwise
}

TEST_CASE("a race that nobody wins lists every attempt") {
  const PluginFolder folder;
  Config config = config_for(folder, {"refuses"});
  config.links["engine"] = link_to("refuses://1,refuses://2");
  config.links["engine"].race = true;
  Runtime runtime(config);
  const std::string text = failure_of([&] { runtime.connect_stream("engine"); }, Status::refused);
  check_contains(text, "refuses://1: connection refused");
  check_contains(text, "refuses://2: connection refused");
}

TEST_CASE("cancelling ends a connect, in order or raced") {
  for (const bool race : {false, true}) {
    CAPTURE(race);
    const PluginFolder folder;
    Config config = config_for(folder, {"never_answers"});
    config.links["engine"] = link_to("neveranswers://1,neveranswers://2");
    config.links["engine"].race = race;
    Runtime runtime(config);
    const Cancel cancel;
    cancel.now();
    failure_of([&] { runtime.connect_stream("engine", ferry::Deadline::never(), nullptr, &cancel.abi); },
               Status::interrupted);
  }
}

// --------------------------------------------------------------------------------------------------------- local

TEST_CASE("local:// names the best local transport first, in a private directory") {
  const PluginFolder folder, base;
  ::setenv("XDG_RUNTIME_DIR", base.path().c_str(), 1);
  Runtime runtime(config_for(folder, {"local_plain", "local_lending", "good"}));
  const auto endpoints = runtime.endpoints_of("local://engine");
  REQUIRE(endpoints.size() == 2);
  CHECK(endpoints[0].endpoint.to_string() == "locallending://engine");
  CHECK(endpoints[1].endpoint.address == (base.path() / "ferry/engine").string());
  struct stat found {};
  REQUIRE(::stat((base.path() / "ferry").c_str(), &found) == 0);
  CHECK((found.st_mode & 07777) == 0700);
  CHECK(runtime.resolve("local://engine").plugin->name() == "local_lending");
  CHECK(runtime.listen("local://engine"));
  CHECK(runtime.connect_stream("local://engine"));
}

TEST_CASE("a local name that could leave the private directory is refused") {
  const PluginFolder folder, base;
  ::setenv("XDG_RUNTIME_DIR", base.path().c_str(), 1);
  Runtime runtime(config_for(folder, {"local_plain"}));
  for (const char* descriptor : {"local://../x", "local://a/b", "local://.hidden"}) {
    CAPTURE(descriptor);
    failure_of([&] { runtime.endpoints_of(descriptor); }, Status::invalid);
  }
}

TEST_CASE("a runtime directory that others can enter is refused") {
  const PluginFolder folder, base;
  ::setenv("XDG_RUNTIME_DIR", base.path().c_str(), 1);
  fs::create_directory(base.path() / "ferry");
  REQUIRE(::chmod((base.path() / "ferry").c_str(), 0755) == 0);
  Runtime runtime(config_for(folder, {"local_plain"}));
  check_contains(failure_of([&] { runtime.endpoints_of("local://engine"); }, Status::permission), "mode 0700");
}

TEST_CASE("without a local transport local:// says so") {
  const PluginFolder folder, base;
  ::setenv("XDG_RUNTIME_DIR", base.path().c_str(), 1);
  Runtime runtime(config_for(folder, {"good"}));
  failure_of([&] { runtime.endpoints_of("local://engine"); }, Status::not_found);
}

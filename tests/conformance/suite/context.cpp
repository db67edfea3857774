#include "context.hpp"

#include <unistd.h>

#include <future>

namespace ferry::conformance {
namespace {

RegistryPolicy just_the_file() {
  RegistryPolicy policy;
  policy.use_environment = false;
  policy.use_default_dirs = false;
  return policy;
}

void replace_all(std::string& text, std::string_view what, const std::string& by) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

const Plugin& load(Registry& registry, const std::filesystem::path& file) {
  const CallMark mark(Call::load);
  return registry.load(file);
}

}  // namespace

Context::Context(const std::filesystem::path& plugin_file, std::filesystem::path directory,
                 std::vector<std::string> self)
    : registry_(just_the_file()),
      plugin_(&load(registry_, plugin_file)),
      host_(&host_for(plugin_->name())),
      directory_(std::move(directory)),
      self_(std::move(self)),
      transport_(std::make_unique<Transport>(plugin_->abi(), *host_)) {}

std::string Context::fresh_address() {
  if (!has(FERRY_CAP_EPHEMERAL) || plugin().ephemeral_address == nullptr)
    skip("the plugin has no ephemeral address to test on");
  std::string address = plugin().ephemeral_address;
  replace_all(address, "{dir}", directory_.string());
  replace_all(address, "{name}", concat("c", ::getpid(), "n", names_++));
  return address;
}

Listener Context::listen() {
  const std::string address = fresh_address();
  Listener listener;
  Error error;
  const ferry_status status = transport_->listen(address, listener, &error);
  require(status == FERRY_OK, "listen at ", address, " returned ", result_text(status), ": ", error.message);
  return listener;
}

Connection Context::connect(const std::string& address) {
  Connection connection;
  Error error;
  const ferry_status status = transport_->connect(address, soon(), connection, &error);
  require(status == FERRY_OK, "connect to ", address, " returned ", result_text(status), ": ", error.message);
  return connection;
}

Connection Context::accept(Listener& listener) {
  Connection connection;
  Error error;
  const ferry_status status = listener.accept(soon(), connection, &error);
  require(status == FERRY_OK, "accept returned ", result_text(status), ": ", error.message);
  return connection;
}

void Context::connect_to(Listener& listener, Connection& client, Connection& server) {
  auto connecting = std::async(std::launch::async, [&] { client = connect(listener.local_address()); });
  server = accept(listener);
  connecting.get();
}

Pair Context::pair() {
  Pair pair;
  pair.listener = listen();
  connect_to(pair.listener, pair.client, pair.server);
  return pair;
}

}  // namespace ferry::conformance

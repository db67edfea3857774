// What a test starts from: the plugin, one transport of it, and the few moves that most tests begin with.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>

#include "abi_objects.hpp"
#include "ferry/registry.hpp"

namespace ferry::conformance {

/// A listener with both ends of one connection to it.
struct Pair {
  Listener listener;
  Connection client;
  Connection server;
};

class Context {
 public:
  /// Loads the plugin. `self` is the command line that starts this program again for a second process.
  Context(const std::filesystem::path& plugin_file, std::filesystem::path directory, std::vector<std::string> self);
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const ferry_plugin& plugin() const noexcept { return plugin_->abi(); }
  const ferry_host& host() const noexcept { return *host_; }
  Transport& transport() noexcept { return *transport_; }
  const std::filesystem::path& directory() const noexcept { return directory_; }
  const std::vector<std::string>& self() const noexcept { return self_; }
  bool has(std::uint64_t capability) const noexcept { return (plugin().capabilities & capability) == capability; }

  /// A fresh address from the plugin's ephemeral_address, never handed out before.
  std::string fresh_address();
  /// A listener at a fresh address; must succeed.
  Listener listen();
  /// Both must succeed, side by side: a transport may need its listener to be served while it connects.
  Connection connect(const std::string& address);
  Connection accept(Listener& listener);
  Pair pair();
  /// Both ends of one more connection to `listener`.
  void connect_to(Listener& listener, Connection& client, Connection& server);

 private:
  Registry registry_;
  const Plugin* plugin_;
  const ferry_host* host_;
  std::filesystem::path directory_;
  std::vector<std::string> self_;
  std::unique_ptr<Transport> transport_;
  int names_ = 0;
};

}  // namespace ferry::conformance

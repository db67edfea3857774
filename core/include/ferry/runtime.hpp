// The front door: configuration, plugins and links together.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ferry/channel.hpp"
#include "ferry/config.hpp"
#include "ferry/connection.hpp"
#include "ferry/endpoint.hpp"
#include "ferry/registry.hpp"

namespace ferry {

/// How one endpoint of a list fared; filled by connect in order of the attempts.
struct Attempt {
  std::string descriptor;
  Status status = Status::ok;
  std::string message;  ///< empty for the one that was taken
};

/// An endpoint with its plugin, its transport and every option resolved: what connect and listen need.
struct ResolvedEndpoint {
  Endpoint endpoint;
  const Plugin* plugin = nullptr;
  ferry_transport* transport = nullptr;  ///< owned by the Runtime
  OptionValues options;                  ///< of the plugin's table
  OptionValues core;                     ///< of core_options()
  Connection::Settings settings;         ///< made from `core`
};

/// Any thread may call. Connections and listeners must be gone before the Runtime is.
class Runtime {
 public:
  /// From a file, with what needs no plugin checked. Throws ConfigError or Error.
  static Runtime load(const std::filesystem::path& file);
  /// Opens and loads nothing yet: plugins are loaded when an endpoint first needs them.
  explicit Runtime(Config config = {});
  Runtime(Runtime&&) noexcept;
  Runtime& operator=(Runtime&&) noexcept;
  ~Runtime();

  /// Connects to a link by name, or to a descriptor (list) if the text is one, with message framing (and the link's
  /// authkey). Endpoints are tried in order, or raced when the link says so. Blocks until the link's connect_deadline
  /// (see connect_stream), and then for the handshake's. Throws Error that lists every attempt, or
  /// Error(authentication).
  Channel connect(std::string_view link_or_descriptor);
  /// The same without framing. A link's connect_deadline (10 s unless it says otherwise) bounds the whole; in order,
  /// each endpoint gets an even share of what is left, so one that answers nothing leaves time for the others. Without
  /// a link, Deadline::never() means 10 s. `attempts`, which may be null, is filled also on failure. `cancel` may be
  /// null; see ferry_cancel. Blocks until the deadline.
  Connection connect_stream(std::string_view link_or_descriptor, Deadline deadline = Deadline::never(),
                            std::vector<Attempt>* attempts = nullptr, const ferry_cancel* cancel = nullptr);
  /// Listens at one endpoint; clients may connect from the return on. Does not block beyond the file system and the
  /// resolver. Throws Error.
  Listener listen(std::string_view descriptor);
  Listener listen(const ConfiguredEndpoint& endpoint);

  /// Loads the plugin, resolves every option and makes the transport, opening nothing. `local://name` resolves to the
  /// best transport of this machine. Throws Error.
  ResolvedEndpoint resolve(const ConfiguredEndpoint& endpoint);
  ResolvedEndpoint resolve(std::string_view descriptor);
  /// One attempt. Status other than ok leaves `out` alone and fills `error`. `cancel` may be null. Blocks until the
  /// deadline. Throws Error(internal) when what the plugin made breaks the ABI.
  [[nodiscard]] Status try_connect(const ResolvedEndpoint& endpoint, Deadline deadline, const ferry_cancel* cancel,
                                   Connection& out, ferry_error& error);
  Listener listen(const ResolvedEndpoint& endpoint);
  /// The endpoints of a link's name or of a descriptor list, with the link's settings put in and local:// names
  /// resolved. Throws Error(not_found) with the near miss for a name that is no link, DescriptorError.
  std::vector<ConfiguredEndpoint> endpoints_of(std::string_view link_or_descriptor) const;
  /// The endpoint itself, or those that a local:// name stands for, the best first. Throws Error.
  std::vector<ConfiguredEndpoint> endpoints_of(const ConfiguredEndpoint& endpoint) const;

  /// Both are owned by the Runtime.
  Registry& registry() noexcept;
  const Config& config() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ferry

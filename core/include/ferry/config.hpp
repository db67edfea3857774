// The configuration file: strict JSON with comments. Every key is described in docs/reference/config.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ferry/endpoint.hpp"
#include "ferry/options.hpp"
#include "ferry/registry.hpp"

namespace ferry {

/// Every problem of a file at once; what() has one line each: `file:line:column /json/pointer: message; did you mean
/// …`.
class ConfigError : public Error {
 public:
  struct Problem {
    std::size_t line = 0;
    std::size_t column = 0;
    std::string pointer;
    std::string message;
  };
  ConfigError(const std::string& file, std::vector<Problem> problems);
  const std::vector<Problem>& problems() const noexcept { return problems_; }

 private:
  std::vector<Problem> problems_;
};

/// An endpoint of the config with the settings its object form added.
struct ConfiguredEndpoint {
  Endpoint endpoint;
  std::vector<OptionSetting> settings;  ///< from the object form ("options"), source endpoint_object
  ConfigLocation location;              ///< of the descriptor
  bool is_hidden = false;               ///< holds an environment variable's value: messages do not quote its options
};

struct LinkConfig {
  std::vector<ConfiguredEndpoint> endpoints;
  std::int64_t connect_deadline_ns = 10'000'000'000;  ///< for all endpoints together
  bool race = false;
  std::string authkey;                  ///< empty: none
  std::vector<OptionSetting> settings;  ///< core options of the link (spin, max_message, …), source link_config
};

enum class ServiceKind : std::uint8_t { echo, discard, relay };
enum class Framing : std::uint8_t { bytes, messages };

/// A service for `ferry serve`.
struct ServiceConfig {
  std::string name;
  std::vector<ConfiguredEndpoint> listen;
  ServiceKind kind = ServiceKind::echo;
  Framing framing = Framing::bytes;
  std::string authkey;                     ///< needs framing "messages"
  std::vector<ConfiguredEndpoint> to;      ///< relay: the target, a link's endpoints or descriptors
  std::string to_link;                     ///< relay: the link's name when `to` named one
  std::uint32_t max_connections = 10'000;  ///< at a time; clients beyond it are turned away
  std::vector<OptionSetting> settings;     ///< core options of the service, source link_config
  ConfigLocation location;
};

struct LogConfig {
  std::string level = "info";
  std::string format = "text";
};

inline constexpr std::size_t max_config_bytes = 1u << 20;
inline constexpr std::size_t max_config_depth = 32;

struct Config {
  RegistryPolicy plugins;
  std::map<std::string, std::vector<OptionSetting>, std::less<>> transports;  ///< per scheme
  std::map<std::string, LinkConfig, std::less<>> links;
  std::vector<ServiceConfig> services;
  LogConfig log;

  /// Parses and checks everything that needs no plugin. `file` is for messages; relative plugin_dirs are taken from
  /// its folder. Throws ConfigError.
  static Config parse(std::string_view text, const std::string& file);
  /// Reads and parses a file of at most max_config_bytes. Throws ConfigError or Error.
  static Config load(const std::filesystem::path& file);
  /// As load(), and with the judgement of the plugins: that every scheme has one, every address is well formed and
  /// every option is known and in range. All problems of both kinds come in one ConfigError. `plugin_dirs` go before
  /// the file's own; what of the plugin policy has no effect is logged as a warning.
  static Config load_checked(const std::filesystem::path& file,
                             const std::vector<std::filesystem::path>& plugin_dirs = {});
};

/// Whether `text` is shaped like a link's name: a letter, then letters, digits, '_', '-' and '.', at most 64. No
/// descriptor has that shape, so one text may name either.
bool is_link_name(std::string_view text) noexcept;

/// The JSON Schema (2020-12) of the config, with the options of the given plugins. Pretty printed.
std::string config_schema(const std::vector<const Plugin*>& plugins);

}  // namespace ferry

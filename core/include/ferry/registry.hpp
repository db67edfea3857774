// Finds, checks and loads transport plugins, on demand, for the life of the process.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ferry/abi.h"
#include "ferry/error.hpp"
#include "ferry/options.hpp"

namespace ferry {

struct PluginFile;

/// What the operator allows. Empty members mean no restriction.
struct RegistryPolicy {
  std::vector<std::filesystem::path> plugin_dirs;  ///< searched first, in order; relative to the working directory
  std::vector<std::string> allow;                  ///< plugin names that may load; empty: all
  std::map<std::string, std::string> sha256;       ///< plugin name → 64 hex digits of the file
  bool use_environment = true;                     ///< FERRY_PLUGIN_PATH, ignored anyway in privileged processes
  bool use_default_dirs = true;                    ///< the install's and the build tree's directories
};

/// A loaded plugin whose description passed every check. The code stays loaded until the process ends; this object
/// lives as long as its Registry.
/// Any thread may call.
class Plugin {
 public:
  /// What the plugin exports; static data of its library.
  const ferry_plugin& abi() const noexcept { return *abi_; }
  std::string_view name() const noexcept { return abi_->name; }
  /// The canonical path of its file.
  const std::filesystem::path& path() const noexcept { return path_; }
  /// The plugin's own option table, without the core's options.
  OptionTable options() const noexcept { return {abi_->options, abi_->option_count, abi_->option_stride}; }
  /// Whether `scheme` is one of the plugin's.
  bool serves(std::string_view scheme) const noexcept;
  /// Whether it has every one of these FERRY_CAP_… bits.
  bool has(std::uint64_t capability) const noexcept { return (abi_->capabilities & capability) == capability; }
  /// Opens and resolves nothing. Throws Error(invalid) naming the part of the address at fault.
  void check_address(const std::string& address) const;

 private:
  friend class Registry;
  Plugin(const ferry_plugin& abi, std::filesystem::path path) : abi_(&abi), path_(std::move(path)) {}
  const ferry_plugin* abi_;
  std::filesystem::path path_;
};

/// Why one file was not loaded, in the loader's own words where it has any.
struct PluginFailure {
  std::filesystem::path path;
  std::string reason;
};

/// Any thread may call; loading is serialised. A plugin that is refused never hurts a good one, but loaded code is
/// trusted: a static constructor that aborts or hangs takes the process along, and `probe_plugin` is how to meet one.
///
/// A plugin's file is `<name>.so` (`<name>.dll` on Windows): the allow-list and the pins speak of names before anything
/// is opened, so the name that the plugin gives itself must equal its file's. For what a file must be to be opened see
/// plugin_file.hpp.
class Registry {
 public:
  /// Loads nothing yet.
  explicit Registry(RegistryPolicy policy = {});
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  ~Registry();

  /// The plugin that serves a scheme: the file of its name in the first directory that has a good one, else a file
  /// whose name begins with the scheme's, else the first plugin that claims it. Logs a warning for a file of the
  /// scheme's name that was refused on the way. Reads files the first time; the plugin lives as long as the Registry.
  /// Throws Error(not_found) listing where it looked, near misses, and the failures met.
  const Plugin& for_scheme(std::string_view scheme);
  /// Loads one file, wherever it is, under the same checks; one already loaded is returned as it is. Throws Error with
  /// the reason.
  const Plugin& load(const std::filesystem::path& file);
  /// Loads everything the search path has; what could not be loaded is in failures().
  std::vector<const Plugin*> load_all();

  /// What has been loaded so far, in the order of loading.
  std::vector<const Plugin*> loaded() const;
  /// What was refused so far, the latest reason for each file.
  std::vector<PluginFailure> failures() const;
  /// Where plugins are looked for, in order: absolute folders, which need not exist.
  const std::vector<std::filesystem::path>& search_path() const noexcept { return search_path_; }

 private:
  const Plugin& load_locked(const std::filesystem::path& file);
  const Plugin* try_load(const std::filesystem::path& file);
  const Plugin* find_scheme(std::string_view scheme) const;
  std::vector<std::filesystem::path> files_of_name(std::string_view scheme) const;
  void warn_of(const std::vector<std::filesystem::path>& refused, const Plugin& instead) const;
  void check_allowed(const std::filesystem::path& file) const;
  bool check_pin(const PluginFile& file) const;
  Error not_found(std::string_view scheme) const;
  void check_unique(const std::filesystem::path& file, const ferry_plugin& plugin) const;
  RegistryPolicy policy_;
  std::vector<std::filesystem::path> search_path_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Plugin>> plugins_;
  std::vector<PluginFailure> failures_;
};

/// ".so", or ".dll": what a plugin's file name ends with.
extern const std::string_view plugin_suffix;

/// The files of a folder that are meant as plugins (by their suffix, whatever they are), in the order of their names;
/// none when it cannot be read. Opens none of them.
std::vector<std::filesystem::path> plugin_candidates(const std::filesystem::path& directory);
/// The same of several folders, one after the other.
std::vector<std::filesystem::path> plugin_candidates(const std::vector<std::filesystem::path>& directories);

/// Whether a plugin could load from this folder: it and every folder above belong to root or to the effective user, and
/// nobody else may write there (see docs/decisions/0003-plugin-files.md). Throws Error(permission) naming the folder at
/// fault and what to do, Error(not_found) when it is not there.
void check_plugin_folder(const std::filesystem::path& directory);

/// The host services table handed to plugins: logs to the core's logger "ferry.<plugin>". Lives for the process.
const ferry_host& host_for(std::string_view plugin_name);

}  // namespace ferry

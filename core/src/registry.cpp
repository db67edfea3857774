#include "ferry/registry.hpp"

#include <algorithm>
#include <cctype>

#include "ferry/did_you_mean.hpp"
#include "ferry/log.hpp"
#include "plugin_check.hpp"
#include "plugin_file.hpp"
#include "plugin_library.hpp"
#include "registry_search.hpp"

namespace ferry {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(Status status, const fs::path& file, const std::string& reason) {
  throw Error(status, "load plugin", file.string(), reason);
}

bool same_hex(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

/// "shm.so" and "shm_spsc.so" are named for the scheme shm.
bool is_named_for(const fs::path& file, std::string_view scheme) { return file.stem().string().starts_with(scheme); }

// A scheme that came from elsewhere than a parsed descriptor must not walk out of the directory.
bool is_file_name(std::string_view scheme) noexcept {
  return !scheme.empty() && scheme.front() != '.' && scheme.find('/') == std::string_view::npos;
}

}  // namespace

bool Plugin::serves(std::string_view scheme) const noexcept {
  for (const char* const* row = abi_->schemes; *row != nullptr; ++row) {
    if (*row == scheme) return true;
  }
  return false;
}

void Plugin::check_address(const std::string& address) const {
  ferry_error error{};
  error.struct_size = sizeof(error);
  const ferry_status status = abi_->check_address(address.c_str(), &error);
  if (status == FERRY_OK) return;
  error.status = status;
  throw_error(error, "check address", std::string(abi_->schemes[0]) + "://" + address);
}

Registry::Registry(RegistryPolicy policy) : policy_(std::move(policy)), search_path_(plugin_search_path(policy_)) {}
Registry::~Registry() = default;

const Plugin& Registry::load(const fs::path& file) {
  const std::lock_guard lock(mutex_);
  return load_locked(file);
}

const Plugin& Registry::load_locked(const fs::path& file) {
  check_allowed(file);
  PluginFile opened = open_plugin_file(file);
  const fs::path path = opened.path;
  for (const auto& plugin : plugins_) {
    if (plugin->path() == path) return *plugin;
  }
  const bool pinned = check_pin(opened);
  const PluginLibrary library = open_library(std::move(opened), pinned);
  const std::string problem = problem_of(*library.symbol, library.symbol_size);
  if (!problem.empty()) refuse(Status::invalid, path, problem);
  check_unique(path, *library.symbol);
  plugins_.push_back(std::unique_ptr<Plugin>(new Plugin(*library.symbol, path)));
  return *plugins_.back();
}

void Registry::check_allowed(const fs::path& file) const {
  const std::string name = file.stem().string();
  const auto& allow = policy_.allow;
  if (allow.empty() || std::find(allow.begin(), allow.end(), name) != allow.end()) return;
  refuse(Status::permission, file, "'" + name + "' is not on the allow-list; add it to plugins.allow to load it");
}

// True when the file is pinned and is the one.
bool Registry::check_pin(const PluginFile& file) const {
  const auto pin = policy_.sha256.find(file.path.stem().string());
  if (pin == policy_.sha256.end()) return false;
  const std::string found = sha256_of(file);
  if (same_hex(found, pin->second)) return true;
  refuse(
      Status::permission, file.path,
      "its SHA-256 is " + found + ", and " + pin->second + " is pinned; if the file is right, change plugins.sha256");
}

void Registry::check_unique(const fs::path& file, const ferry_plugin& plugin) const {
  const std::string_view name = plugin.name;
  if (name != file.stem().string()) {
    refuse(Status::invalid, file,
           "the plugin calls itself '" + std::string(name) + "'; its file must be " + std::string(name) +
               std::string(plugin_suffix) + ", because allow-list and pins go by the file's name");
  }
  for (const auto& other : plugins_) {
    if (other->name() == name) {
      refuse(Status::invalid, file, "the name '" + std::string(name) + "' is taken by " + other->path().string());
    }
  }
  for (const char* const* scheme = plugin.schemes; *scheme != nullptr; ++scheme) {
    const Plugin* const other = find_scheme(*scheme);
    if (other == nullptr) continue;
    refuse(Status::invalid, file, "the scheme '" + std::string(*scheme) + "' is taken by " + other->path().string());
  }
}

const Plugin* Registry::find_scheme(std::string_view scheme) const {
  for (const auto& plugin : plugins_) {
    if (plugin->serves(scheme)) return plugin.get();
  }
  return nullptr;
}

// Null when the file was refused; the reason is then in failures_, the latest for each file.
const Plugin* Registry::try_load(const fs::path& file) {
  std::erase_if(failures_, [&](const PluginFailure& failure) { return failure.path == file; });
  try {
    return &load_locked(file);
  } catch (const Error& error) {
    failures_.push_back({file, error.detail()});
    return nullptr;
  }
}

const Plugin& Registry::for_scheme(std::string_view scheme) {
  const std::lock_guard lock(mutex_);
  if (const Plugin* known = find_scheme(scheme)) return *known;
  std::vector<fs::path> refused;
  const auto find_in = [&](const std::vector<fs::path>& files) -> const Plugin* {
    for (const fs::path& file : files) {
      const Plugin* const loaded = try_load(file);
      if (loaded != nullptr && loaded->serves(scheme)) return loaded;
      if (loaded == nullptr && is_named_for(file, scheme)) refused.push_back(file);
    }
    return nullptr;
  };
  const Plugin* found = find_in(files_of_name(scheme));
  if (found == nullptr) {
    // The most likely first: a file that only might serve the scheme is code that runs for nothing.
    std::vector<fs::path> files = plugin_candidates(search_path_);
    std::stable_partition(files.begin(), files.end(), [&](const fs::path& file) { return is_named_for(file, scheme); });
    found = find_in(files);
  }
  if (found == nullptr) throw not_found(scheme);
  warn_of(refused, *found);
  return *found;
}

std::vector<fs::path> Registry::files_of_name(std::string_view scheme) const {
  std::vector<fs::path> files;
  for (const fs::path& directory : search_path_) {
    const fs::path file = directory / (std::string(scheme) + std::string(plugin_suffix));
    std::error_code ignored;
    if (is_file_name(scheme) && fs::exists(fs::symlink_status(file, ignored))) files.push_back(file);
  }
  return files;
}

/// Files that should have served a scheme, where another one does: otherwise nobody would hear of them.
void Registry::warn_of(const std::vector<fs::path>& refused, const Plugin& instead) const {
  for (const PluginFailure& failure : failures_) {
    if (std::find(refused.begin(), refused.end(), failure.path) == refused.end()) continue;
    log(FERRY_LOG_WARNING, "ferry.registry",
        failure.path.string() + " was refused, and " + instead.path().string() + " serves instead: " + failure.reason);
  }
}

Error Registry::not_found(std::string_view scheme) const {
  std::vector<std::string_view> known;
  for (const auto& plugin : plugins_) {
    for (const char* const* row = plugin->abi().schemes; *row != nullptr; ++row) known.emplace_back(*row);
  }
  std::string text = "no plugin serves this scheme" + did_you_mean(scheme, known) + "\n  looked in:";
  for (const fs::path& directory : search_path_) text += "\n    " + directory.string();
  if (!failures_.empty()) text += "\n  refused:";
  for (const PluginFailure& failure : failures_) text += "\n    " + failure.path.string() + ": " + failure.reason;
  return Error(Status::not_found, "find a plugin for", std::string(scheme), text);
}

std::vector<const Plugin*> Registry::load_all() {
  const std::lock_guard lock(mutex_);
  std::vector<const Plugin*> all;
  for (const fs::path& file : plugin_candidates(search_path_)) {
    const Plugin* const loaded = try_load(file);
    if (loaded != nullptr && std::find(all.begin(), all.end(), loaded) == all.end()) all.push_back(loaded);
  }
  return all;
}

std::vector<const Plugin*> Registry::loaded() const {
  const std::lock_guard lock(mutex_);
  std::vector<const Plugin*> all;
  for (const auto& plugin : plugins_) all.push_back(plugin.get());
  return all;
}

std::vector<PluginFailure> Registry::failures() const {
  const std::lock_guard lock(mutex_);
  return failures_;
}

}  // namespace ferry

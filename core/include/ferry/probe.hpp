// Meets a plugin in a child process, where one that aborts or hangs does no harm.
//
// The child is a program of its own (libexec/ferry/ferry-probe, beside the running program's bin), started by
// posix_spawn. Rejected: fork alone, because a program with threads can call almost nothing in such a child, and the
// loader and the logger take locks that another thread may have held; re-executing the host, because every host would
// have to hand over its `main`. See docs/decisions/0002-probe-in-a-child.md.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "ferry/registry.hpp"

namespace ferry {

struct ProbeResult {
  bool loaded = false;
  std::string description;  ///< as plugin_json, when loaded
  std::string reason;       ///< when not: the registry's, or "killed by SIGABRT in create", "hung for 5 s in create"
};

inline constexpr std::chrono::milliseconds probe_timeout{5000};

/// Loads the file as Registry::load does, with the same checks of the file, makes a transport with the table's defaults
/// and destroys it, all in a child. Allow-list and pins do not apply: probing is how one decides about a plugin. What
/// the plugin writes to standard output goes to standard error. Blocks until the child has ended, at most `timeout`;
/// leaves no process behind. Throws Error when the child cannot be started. Any thread.
ProbeResult probe_plugin(const std::filesystem::path& file, std::chrono::milliseconds timeout = probe_timeout);

/// A plugin's description as one line of JSON: name, version, schemes, capabilities, abi, options …
std::string plugin_json(const Plugin& plugin);

}  // namespace ferry

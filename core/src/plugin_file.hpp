// A plugin's file before it is opened as a library: is it one that only trusted users could have put there, and is it
// the one that was pinned?
//
// The rule (see docs/decisions/0003-plugin-files.md): the file is a regular file and no symbolic link; the file and
// every directory above it belong to root or to the effective user; none is writable by group or others, except that a
// directory further up than the file's own may be when it is sticky (/tmp), because there nobody can replace what is
// ours. Access control lists are not looked at.
//
// On Windows the file and its folder belong to the user, to Administrators, to the system or to TrustedInstaller, and
// their access control lists let nobody else write. Further up nothing is looked at: the file is held open without
// sharing until it is loaded, so nobody can put another in its place meanwhile.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "ferry/sdk/unique_fd.hpp"

namespace ferry {

/// What tells a file apart from every other and from itself after a change.
struct FileIdentity {
  std::uint64_t device = 0;  ///< the volume's serial number on Windows
  std::uint64_t inode = 0;   ///< the file's index there
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;
  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

struct PluginFile {
  std::filesystem::path path;  ///< canonical
  plugin::UniqueFd fd;         ///< of the C run-time library on Windows
  FileIdentity identity;
};

/// Opens `file` for reading if it passes the rule. Never blocks, not even on a FIFO. Throws Error(not_found,
/// permission, invalid, io) with operation "load plugin" and what to do.
PluginFile open_plugin_file(const std::filesystem::path& file);
/// The identity of what `path` names now; a default one when it names nothing.
FileIdentity identity_of(const std::filesystem::path& path) noexcept;
/// The SHA-256 of the open file as 64 lower-case hex digits. Throws Error(io).
std::string sha256_of(const PluginFile& file);

}  // namespace ferry

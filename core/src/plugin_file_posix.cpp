#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

#include "ferry/error.hpp"
#include "ferry/registry.hpp"
#include "plugin_file.hpp"

namespace ferry {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(Status status, const fs::path& file, const std::string& reason, int os_error = 0) {
  throw Error(status, "load plugin", file.string(), reason, os_error);
}

Status status_of(int os_error) noexcept {
  if (os_error == ENOENT || os_error == ENOTDIR) return Status::not_found;
  if (os_error == EACCES || os_error == EPERM) return Status::permission;
  return os_error == EMFILE || os_error == ENFILE ? Status::no_resources : Status::io;
}

FileIdentity identity_of(const struct stat& found) noexcept {
  constexpr std::int64_t second_ns = 1'000'000'000;
  return {found.st_dev, found.st_ino, static_cast<std::uint64_t>(found.st_size),
          found.st_mtim.tv_sec * second_ns + found.st_mtim.tv_nsec,
          found.st_ctim.tv_sec * second_ns + found.st_ctim.tv_nsec};
}

std::string octal(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof(text), "%04o", static_cast<unsigned>(mode & 07777));
  return text;
}

const char* kind_of(mode_t mode) noexcept {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

// Says what is wrong with the owner or mode of the file or one of its directories; empty when nothing is.
std::string trust_problem(const struct stat& found, const std::string& what, bool sticky_is_fine) {
  if (found.st_uid != 0 && found.st_uid != ::geteuid()) {
    return what + " is owned by uid " + std::to_string(found.st_uid) + ", neither root nor uid " +
           std::to_string(::geteuid()) + "; chown it";
  }
  const bool sticky = S_ISDIR(found.st_mode) && (found.st_mode & S_ISVTX) != 0 && sticky_is_fine;
  if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky) {
    const char* who = (found.st_mode & S_IWOTH) != 0 ? "everybody" : "its group";
    return what + " is writable by " + who + " (mode " + octal(found.st_mode) + "); run chmod go-w";
  }
  return {};
}

// Once a directory and all above it are trusted nobody else can move what is in it, so walking by name is no race.
// `folder` is canonical; `target` is what the message is about.
void check_directories(const fs::path& folder, const fs::path& target) {
  for (fs::path directory = folder;; directory = directory.parent_path()) {
    struct stat found {};
    if (::lstat(directory.c_str(), &found) != 0)
      refuse(status_of(errno), target, "cannot examine " + directory.string(), errno);
    const std::string problem = trust_problem(found, "the directory " + directory.string(), directory != folder);
    if (!problem.empty()) refuse(Status::permission, target, problem);
    if (directory == directory.root_path()) return;
  }
}

fs::path canonical_folder(const fs::path& folder, const fs::path& target) {
  std::error_code failure;
  fs::path canonical = fs::canonical(folder, failure);
  if (failure) refuse(status_of(failure.value()), target, "", failure.value());
  return canonical;
}

void check_kind(const fs::path& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) refuse(status_of(errno), path, "", errno);
  if (S_ISREG(found.st_mode)) return;
  if (!S_ISLNK(found.st_mode))
    refuse(Status::invalid, path, std::string("it is ") + kind_of(found.st_mode) + ", not a file");
  std::error_code failure;
  const fs::path target = fs::read_symlink(path, failure);
  const char* dangling = fs::exists(path, failure) ? "" : ", which does not exist";
  refuse(Status::invalid, path,
         "it is a symbolic link (to " + target.string() + dangling + "); put the file itself in the directory");
}

}  // namespace

FileIdentity identity_of(const fs::path& path) noexcept {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 ? identity_of(found) : FileIdentity{};
}

void check_plugin_folder(const fs::path& directory) {
  check_directories(canonical_folder(directory, directory), directory);
}

PluginFile open_plugin_file(const fs::path& file) {
  PluginFile opened;
  opened.path = canonical_folder(fs::absolute(file).parent_path(), file) / file.filename();
  check_directories(opened.path.parent_path(), opened.path);
  check_kind(opened.path);
  // The kind is looked at first because opening some devices has effects, and again below because only what was opened
  // counts. O_NONBLOCK: a FIFO would otherwise wait for its writer.
  opened.fd.reset(::open(opened.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct stat found {};
  if (!opened.fd || ::fstat(opened.fd.get(), &found) != 0) refuse(status_of(errno), opened.path, "", errno);
  if (!S_ISREG(found.st_mode))
    refuse(Status::invalid, opened.path, std::string("it is ") + kind_of(found.st_mode) + ", not a file");
  const std::string problem = trust_problem(found, "the file", false);
  if (!problem.empty()) refuse(Status::permission, opened.path, problem);
  opened.identity = identity_of(found);
  return opened;
}

}  // namespace ferry

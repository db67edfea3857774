// Who may do what with a file, for error messages.
#pragma once

#include <sys/stat.h>

#include <cstdio>
#include <string>

namespace ferry::plugin {

/// For example "0600, owned by uid 1000".
inline std::string permissions(const struct stat& file) {
  char mode[8];
  std::snprintf(mode, sizeof(mode), "%04o", static_cast<unsigned>(file.st_mode & 07777));
  return std::string(mode) + ", owned by uid " + std::to_string(file.st_uid);
}

}  // namespace ferry::plugin

// The file that TLS secrets are appended to, in the format of SSLKEYLOGFILE.
#pragma once

#include <string>
#include <string_view>

#include "ferry/plugin.hpp"
#include "ferry/sdk/unique_fd.hpp"

namespace ferry::quic {

class Keylog {
 public:
  /// Opens `path`, or makes it for its owner alone. Whoever reads it reads the connections, so a file that others may
  /// open is refused, and so are links, pipes and devices. Throws plugin::Failure.
  explicit Keylog(const std::string& path);

  /// A line in one write, so that those of several connections and processes stay whole. Any thread.
  void append(std::string_view line) const noexcept;

 private:
  plugin::UniqueFd file_;
};

/// What the environment's SSLKEYLOGFILE names, ignored where the process has more rights than its user; else empty.
std::string keylog_of_environment();

}  // namespace ferry::quic

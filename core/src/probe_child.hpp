// The process that a probe runs in, and its report.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "ferry/deadline.hpp"

namespace ferry {

/// Ends the process and whatever it started on destruction; leaves nothing behind.
class ProbeChild {
 public:
  enum class News { some, end, timed_out };

  /// Starts `program` on `file`, with its report to us. Throws Error(no_resources) with operation "probe plugin".
  static std::unique_ptr<ProbeChild> start(const std::filesystem::path& program, const std::filesystem::path& file,
                                           Deadline deadline);
  ProbeChild() = default;
  ProbeChild(const ProbeChild&) = delete;
  ProbeChild& operator=(const ProbeChild&) = delete;
  virtual ~ProbeChild() = default;

  /// Appends what came of the report to `text`; waits for some until the deadline.
  virtual News read(std::string& text) = 0;
  /// Kills what is left and says how the process ended: "killed by SIGABRT", "ended the process with status 3". One
  /// that had already begun to end, which is what closed its report, keeps the end it had.
  virtual std::string end() = 0;
};

}  // namespace ferry

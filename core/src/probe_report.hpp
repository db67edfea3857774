// What the probe's child writes to its parent: one JSON object a line, {"step": …} before each step, and last either
// {"refused": reason} or {"plugin": description}.
#pragma once

namespace ferry {

inline constexpr int probe_report_fd = 3;  ///< on Windows it is standard output
inline constexpr const char* probe_step_open = "its static constructors";
inline constexpr const char* probe_step_create = "create";
inline constexpr const char* probe_step_destroy = "destroy";

}  // namespace ferry

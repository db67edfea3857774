// What the probe's own process needs of the system.
#pragma once

#include <string_view>

namespace ferry {

/// False when no probe_plugin started this process. Makes sure that the process ends with its parent, leaves no core or
/// dialog behind when it crashes, and that what a plugin prints is no part of the report.
bool prepare_probe_process() noexcept;
/// False when nobody reads the report any more.
bool write_probe_report(std::string_view text) noexcept;

}  // namespace ferry

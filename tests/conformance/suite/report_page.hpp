// A report's page in memory that several processes share.
#pragma once

#include <filesystem>

#include "report.hpp"

namespace ferry::conformance {

/// Maps the file, made of zeros when it does not exist. Throws std::system_error.
ReportPage* map_report(const std::filesystem::path& file);
void unmap_report(ReportPage* page) noexcept;

}  // namespace ferry::conformance

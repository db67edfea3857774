#include "ferry/probe.hpp"

#include <nlohmann/json.hpp>
#include <string>

#include "ferry/deadline.hpp"
#include "probe_child.hpp"
#include "probe_report.hpp"
#include "registry_search.hpp"

namespace ferry {
namespace {

namespace fs = std::filesystem;

fs::path probe_program() {
  std::error_code failure;
  const fs::path program = program_file();
  const fs::path installed = program.parent_path() / FERRY_PROBE_FROM_BIN;
  if (fs::exists(installed, failure)) return installed;
  const fs::path built = program.parent_path().parent_path() / "libexec" / "ferry" / installed.filename();
  return fs::exists(built, failure) ? built : fs::path(FERRY_INSTALL_PROBE);
}

// Reads whole lines until the deadline.
class Report {
 public:
  explicit Report(ProbeChild& child) : child_(child) {}

  bool timed_out() const noexcept { return timed_out_; }
  // False at the end of the report, or when time is up.
  bool next(std::string& line) {
    for (;;) {
      if (const std::size_t end = text_.find('\n'); end != std::string::npos) {
        line = text_.substr(0, end);
        text_.erase(0, end + 1);
        return true;
      }
      if (text_.size() > max_report_bytes) return false;
      const ProbeChild::News news = child_.read(text_);
      timed_out_ = news == ProbeChild::News::timed_out;
      if (news != ProbeChild::News::some) return false;
    }
  }

 private:
  static constexpr std::size_t max_report_bytes = 4u << 20;  // 256 options with their texts are well below

  ProbeChild& child_;
  std::string text_;
  bool timed_out_ = false;
};

std::string seconds(std::chrono::milliseconds time) {
  return time.count() % 1000 == 0 ? std::to_string(time.count() / 1000) + " s" : std::to_string(time.count()) + " ms";
}

}  // namespace

ProbeResult probe_plugin(const fs::path& file, std::chrono::milliseconds timeout) {
  const std::unique_ptr<ProbeChild> child = ProbeChild::start(probe_program(), file, Deadline(timeout));
  Report report(*child);
  std::string step = "its start";
  for (std::string line; report.next(line);) {
    const nlohmann::ordered_json entry = nlohmann::ordered_json::parse(line, nullptr, false);
    if (!entry.is_object()) continue;  // the plugin itself wrote to the descriptor
    if (entry.contains("plugin")) return {true, entry["plugin"].dump(), {}};
    if (entry.contains("refused")) return {false, {}, entry.value("refused", "")};
    step = entry.value("step", step);
  }
  const std::string what = report.timed_out() ? "hung for " + seconds(timeout) : child->end();
  return {false, {}, what + " in " + step};
}

}  // namespace ferry

// How `ferry bench` shows its figures: a table for people, JSON for scripts.
#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/bench.hpp"

namespace ferry::bench {
namespace {

std::string printed(const char* format, double value) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string human(const std::string& unit, double value) {
  if (value == 0) return "";
  if (unit == "ns") return value < 10'000 ? printed("%.2f us", value / 1e3) : printed("%.1f us", value / 1e3);
  const char* suffix = unit == "bytes/s" ? "B/s" : "/s";
  const double scale = value >= 1e9 ? 1e9 : value >= 1e6 ? 1e6 : 1e3;
  return printed("%.2f ", value / scale) + (scale == 1e9 ? "G" : scale == 1e6 ? "M" : "k") + suffix;
}

std::string size_text(std::uint64_t bytes) {
  if (bytes >= (1u << 20) && bytes % (1u << 20) == 0) return std::to_string(bytes >> 20) + " MiB";
  if (bytes >= (1u << 10) && bytes % (1u << 10) == 0) return std::to_string(bytes >> 10) + " KiB";
  return std::to_string(bytes) + " B";
}

}  // namespace

std::string format_table(const std::vector<Figure>& figures) {
  const bool baseline = std::any_of(figures.begin(), figures.end(), [](const Figure& f) { return f.raw > 0; });
  std::vector<std::vector<std::string>> rows = {
      {"transport", "measure", "size", "plane", "spin", "median", "p99", "p99.9", "max", "cpu s/GB"}};
  if (baseline) rows.front().insert(rows.front().end(), {"raw", "ratio", "raw cpu"});
  for (const Figure& f : figures) {
    rows.push_back({f.target, f.measure, size_text(f.size), f.plane, f.spin, human(f.unit, f.value),
                    human(f.unit, f.p99), human(f.unit, f.p999), human(f.unit, f.maximum),
                    f.cpu > 0 ? printed("%.3f", f.cpu) : ""});
    if (baseline)
      rows.back().insert(rows.back().end(), {human(f.unit, f.raw), f.raw > 0 ? printed("%.2f", f.ratio) : "",
                                             f.raw_cpu > 0 ? printed("%.3f", f.raw_cpu) : ""});
  }
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string table;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string pad(widths[i] - row[i].size(), ' ');
      line += i < 5 ? row[i] + pad : pad + row[i];
      line += "  ";
    }
    table += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return table;
}

std::string format_json(const BenchOptions& options, const std::vector<Figure>& figures) {
  nlohmann::ordered_json json;
  json["rounds"] = options.rounds;
  json["round_duration_ns"] = options.duration.count();
  json["figures"] = nlohmann::ordered_json::array();
  for (const Figure& f : figures) {
    nlohmann::ordered_json row = {{"transport", f.target}, {"measure", f.measure}, {"size", f.size},
                                  {"plane", f.plane},      {"spin", f.spin},       {"unit", f.unit},
                                  {"median", f.value}};
    if (f.maximum > 0) row.update({{"p99", f.p99}, {"p99.9", f.p999}, {"max", f.maximum}});
    if (f.cpu > 0) row["cpu_s_per_gb"] = f.cpu;
    if (f.raw_cpu > 0) row["raw_cpu_s_per_gb"] = f.raw_cpu;
    if (f.raw > 0) row.update({{"raw_median", f.raw}, {"ratio", f.ratio}});
    json["figures"].push_back(std::move(row));
  }
  return json.dump(2) + "\n";
}

}  // namespace ferry::bench

// How `ferry bench` shows its figures: a table for people, JSON for scripts.
#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

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
  if (unit == "ns") return printed(value < 1000 ? "%.3f us" : value < 10'000 ? "%.2f us" : "%.1f us", value / 1e3);
  const char* suffix = unit == "bytes/s" ? "B/s" : "/s";
  const double scale = value >= 1e9 ? 1e9 : value >= 1e6 ? 1e6 : 1e3;
  return printed("%.2f ", value / scale) + (scale == 1e9 ? "G" : scale == 1e6 ? "M" : "k") + suffix;
}

std::string size_text(std::uint64_t bytes) {
  if (bytes >= (1u << 20) && bytes % (1u << 20) == 0) return std::to_string(bytes >> 20) + " MiB";
  if (bytes >= (1u << 10) && bytes % (1u << 10) == 0) return std::to_string(bytes >> 10) + " KiB";
  return std::to_string(bytes) + " B";
}

/// The columns that Ferry's way and a baseline have in common.
template <class Result>
std::vector<std::string> columns(const Figure& figure, std::string who, std::string plane, std::string spin,
                                 const Result& result) {
  return {std::move(who),
          figure.measure,
          size_text(figure.size),
          std::move(plane),
          std::move(spin),
          human(figure.unit, result.value),
          human(figure.unit, result.p99),
          human(figure.unit, result.p999),
          human(figure.unit, result.maximum),
          result.cpu > 0 ? printed("%.3f", result.cpu) : ""};
}

}  // namespace

std::string format_table(const std::vector<Figure>& figures) {
  const bool baseline =
      std::any_of(figures.begin(), figures.end(), [](const Figure& f) { return !f.baselines.empty(); });
  std::vector<std::vector<std::string>> rows = {
      {"transport", "measure", "size", "plane", "spin", "median", "p99", "p99.9", "max", "cpu s/GB"}};
  if (baseline) rows.front().emplace_back("ratio");
  for (const Figure& f : figures) {
    rows.push_back(columns(f, f.target, f.plane, f.spin, f));
    for (const Baseline& b : f.baselines) {
      rows.push_back(columns(f, "  " + b.name, "by hand", "", b));
      rows.back().push_back(printed("%.2f", b.ratio));
    }
  }
  for (auto& row : rows) row.resize(rows.front().size());
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
    if (!f.baselines.empty())
      row.update({{"raw_median", f.baselines.front().value}, {"ratio", f.baselines.front().ratio}});
    for (const Baseline& b : f.baselines) {
      nlohmann::ordered_json by_hand = {{"name", b.name}, {"median", b.value}, {"ratio", b.ratio}};
      if (b.maximum > 0) by_hand.update({{"p99", b.p99}, {"p99.9", b.p999}, {"max", b.maximum}});
      if (b.cpu > 0) by_hand["cpu_s_per_gb"] = b.cpu;
      row["baselines"].push_back(std::move(by_hand));
    }
    json["figures"].push_back(std::move(row));
  }
  return json.dump(2) + "\n";
}

}  // namespace ferry::bench

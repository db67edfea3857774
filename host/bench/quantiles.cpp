#include "bench/quantiles.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>

#include "ferry/deadline.hpp"

namespace ferry::bench {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double percentile(const std::vector<std::int64_t>& sorted, double share) {
  const auto index = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return static_cast<double>(sorted[std::min(index, sorted.size()) - (index > 0 ? 1 : 0)]);
}

double interpolated_median(const std::vector<std::int64_t>& sorted, double step) {
  const double from = percentile(sorted, 0.5) - step / 2;
  const auto rank_of = [&](double value) {
    return static_cast<double>(std::lower_bound(sorted.begin(), sorted.end(), value) - sorted.begin());
  };
  const double below = rank_of(from);
  return from + step * (static_cast<double>(sorted.size()) / 2 - below) / (rank_of(from + step) - below);
}

double clock_step_ns() {
  // Two readings are a reading's time apart, rounded to a step or to the next: how that changes shows the step.
  std::vector<std::int64_t> changes;
  std::int64_t before = monotonic_now_ns();
  std::int64_t apart = 0;
  for (int i = 0; i < 4096; ++i) {
    const std::int64_t now = monotonic_now_ns();
    if (const std::int64_t change = std::abs(now - before - apart); change != 0) changes.push_back(change);
    apart = now - before;
    before = now;
  }
  if (changes.empty()) return 1;
  // Of steps that are no whole number of nanoseconds one in ten or so shows as 1 or 9 of 10.
  std::sort(changes.begin(), changes.end());
  return std::max(percentile(changes, 0.25), 1.0);
}

}  // namespace ferry::bench

// Medians and percentiles of what was measured.
#pragma once

#include <cstdint>
#include <vector>

namespace ferry::bench {

/// @param values  not empty; of an even number the mean of the two in the middle
double median(std::vector<double> values);

/// @param sorted  ascending, not empty
/// @param share   0…1; the least value that so many of all do not exceed
double percentile(const std::vector<std::int64_t>& sorted, double share);

/// The median of times that a clock has rounded to its steps: interpolated, as of data in classes, among the values
/// within half a step of the one in the middle. Steps of 10 ns hide a tenth of what a message through shared memory
/// takes.
/// @param sorted  ascending, not empty
/// @param step    as clock_step_ns
double interpolated_median(const std::vector<std::int64_t>& sorted, double step);

/// The steps in which monotonic_now_ns moves, in nanoseconds, at least 1: on some processors 10. Takes less than a
/// millisecond.
double clock_step_ns();

}  // namespace ferry::bench

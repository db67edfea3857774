#include "bench/quantiles.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

using namespace ferry::bench;

namespace {

/// Times from `from` to `to`, as a clock shows them that moves in steps: two readings at any instants.
std::vector<std::int64_t> rounded(double from, double to, double step) {
  std::vector<std::int64_t> values;
  for (int i = 0; i < 1000; ++i) {
    for (int start = 0; start < 100; ++start) {
      const double begin = step * start / 100;
      const double end = begin + from + (to - from) * (i + 0.5) / 1000;
      values.push_back(std::llround(step * (std::floor(end / step) - std::floor(begin / step))));
    }
  }
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

TEST_CASE("a median and a percentile are values of the list, or between the two in the middle") {
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({4, 1, 2, 3}) == 2.5);
  CHECK(median({7}) == 7);
  const std::vector<std::int64_t> values{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  CHECK(percentile(values, 0) == 1);
  CHECK(percentile(values, 0.5) == 5);
  CHECK(percentile(values, 0.91) == 10);
  CHECK(percentile(values, 1) == 10);
}

TEST_CASE("an interpolated median tells times apart that a clock's steps make equal") {
  for (const double step : {1.0, 10.0, 10.02}) {
    CAPTURE(step);
    for (const double middle : {80.0, 93.0, 97.5, 115.0, 119.0, 250.0}) {
      CAPTURE(middle);
      CHECK(interpolated_median(rounded(middle - 8, middle + 8, step), step) == doctest::Approx(middle).epsilon(0.015));
    }
  }
}

TEST_CASE("an interpolated median stays within half a step of the plain one") {
  CHECK(interpolated_median({110}, 10) == 110);
  CHECK(interpolated_median({110, 110, 110, 110}, 10) == 110);
  CHECK(interpolated_median({90, 110, 110, 110}, 10) == doctest::Approx(105 + 10.0 / 3));
  CHECK(interpolated_median({110, 110, 110, 130}, 10) == doctest::Approx(105 + 20.0 / 3));
  CHECK(interpolated_median({0, 5, 1000}, 1) == 5);
}

TEST_CASE("the clock's step is one that readings can differ by") {
  const double step = clock_step_ns();
  CHECK(step >= 1);
  CHECK(step < 1e6);
}

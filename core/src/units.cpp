// Sizes and durations as people write them. Exact integer arithmetic: "1.5KiB" is 1536 bytes and "0.3B" an error.
#include <array>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <string>
#include <string_view>

#include "ferry/did_you_mean.hpp"
#include "ferry/options.hpp"
#include "text.hpp"

namespace ferry {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

constexpr std::array<Unit, 7> size_units{{{"B", 1},
                                          {"KB", 1'000},
                                          {"KiB", 1'024},
                                          {"MB", 1'000'000},
                                          {"MiB", 1'048'576},
                                          {"GB", 1'000'000'000},
                                          {"GiB", 1'073'741'824}}};
constexpr std::array<Unit, 6> duration_units{{{"ns", 1},
                                              {"us", 1'000},
                                              {"ms", 1'000'000},
                                              {"s", 1'000'000'000},
                                              {"min", 60'000'000'000},
                                              {"h", 3'600'000'000'000}}};

enum class Outcome : std::uint8_t { ok, malformed, inexact, too_large };

constexpr std::int64_t largest = std::numeric_limits<std::int64_t>::max();

/// Reads digits off the front of `text`; false on overflow.
bool take_digits(std::string_view& text, std::int64_t& number) noexcept {
  number = 0;
  while (!text.empty() && text::is_digit(text.front())) {
    const std::int64_t digit = text.front() - '0';
    if (number > (largest - digit) / 10) return false;
    number = number * 10 + digit;
    text.remove_prefix(1);
  }
  return true;
}

/// `fraction` / 10^digits of `factor`. Reducing 10^digits by what it shares with the factor keeps all within 64 bits.
Outcome scale_fraction(std::string_view digits, std::int64_t factor, std::int64_t& out) noexcept {
  while (digits.ends_with('0')) digits.remove_suffix(1);
  constexpr std::size_t most_digits = 18;  // 10^18 fits in 63 bits
  if (digits.size() > most_digits) return Outcome::inexact;
  std::int64_t power = 1;
  for (std::size_t i = 0; i < digits.size(); ++i) power *= 10;
  std::int64_t fraction = 0;
  (void)take_digits(digits, fraction);
  const std::int64_t shared = std::gcd(power, factor);
  if (fraction % (power / shared) != 0) return Outcome::inexact;
  out = fraction / (power / shared) * (factor / shared);
  return Outcome::ok;
}

Outcome parse_amount(std::string_view text, std::span<const Unit> units, std::string_view unit_when_bare,
                     std::int64_t& out) noexcept {
  if (text.empty() || !text::is_digit(text.front())) return Outcome::malformed;
  std::int64_t whole = 0;
  if (!take_digits(text, whole)) return Outcome::too_large;
  std::string_view fraction;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    std::size_t length = 0;
    while (length < text.size() && text::is_digit(text[length])) ++length;
    if (length == 0) return Outcome::malformed;
    fraction = text.substr(0, length);
    text.remove_prefix(length);
  }
  const std::string_view name = text.empty() && (whole == 0 || unit_when_bare == "B") ? unit_when_bare : text;
  for (const Unit& unit : units) {
    if (unit.name != name) continue;
    std::int64_t part = 0;
    const Outcome outcome = scale_fraction(fraction, unit.factor, part);
    if (outcome != Outcome::ok) return outcome;
    if (whole > (largest - part) / unit.factor) return Outcome::too_large;
    out = whole * unit.factor + part;
    return Outcome::ok;
  }
  return Outcome::malformed;
}

std::string explain(Outcome outcome, std::string_view text, std::string_view malformed, std::string_view base_unit) {
  const std::string quoted = "'" + text::excerpt(text) + "'";
  switch (outcome) {
    case Outcome::inexact:
      return quoted + " is no whole number of " + std::string(base_unit);
    case Outcome::too_large:
      return quoted + " is too large";
    default:
      return quoted + std::string(malformed);
  }
}

/// Units that differ from a known one by case alone ("kb") are the common slip.
std::string suggest_unit(std::string_view text, std::span<const Unit> units) {
  const std::size_t digits = text.find_first_not_of("0123456789.");
  if (digits == std::string_view::npos || digits == 0) return {};
  std::string_view unit = text.substr(digits);
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  std::array<std::string_view, size_units.size()> names{};
  std::size_t count = 0;
  for (const Unit& known : units) {
    if (known.name.size() == unit.size()) names[count++] = known.name;
  }
  const std::string_view best = nearest(unit, std::span(names.data(), count));
  const std::string spelled = std::string(text.substr(0, digits)) + std::string(best);
  return best.empty() ? std::string() : "; did you mean '" + text::excerpt(spelled) + "'?";
}

template <std::size_t count>
std::string format_amount(std::int64_t amount, const std::array<Unit, count>& units, bool binary) {
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    const bool decimal_size = binary && unit.factor > 1 && !unit.name.ends_with("iB");
    if (!decimal_size && amount % unit.factor == 0) best = &unit;
  }
  if (amount == 0) return binary ? "0B" : "0s";
  return std::to_string(amount / best->factor) + std::string(best->name);
}

}  // namespace

bool parse_size(std::string_view text, std::int64_t& bytes, std::string& problem) {
  const Outcome outcome = parse_amount(text, size_units, "B", bytes);
  if (outcome == Outcome::ok) return true;
  problem = explain(outcome, text,
                    " is not a size: write a number and B, KiB, MiB, GiB, KB, MB or GB, for example 256KiB", "bytes");
  if (outcome == Outcome::malformed) problem += suggest_unit(text, size_units);
  return false;
}

bool parse_duration(std::string_view text, std::int64_t& ns, std::string& problem) {
  const Outcome outcome = parse_amount(text, duration_units, "s", ns);
  if (outcome == Outcome::ok) return true;
  problem = explain(outcome, text, " is not a duration: write a number and ns, us, ms, s, min or h, for example 20ms",
                    "nanoseconds");
  if (outcome == Outcome::malformed) problem += suggest_unit(text, duration_units);
  return false;
}

std::string format_size(std::int64_t bytes) { return format_amount(bytes, size_units, true); }
std::string format_duration(std::int64_t ns) { return format_amount(ns, duration_units, false); }

}  // namespace ferry

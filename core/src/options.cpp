// Option tables: values parsed as their rows demand, and resolved over the defaults.
#include "ferry/options.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <system_error>

#include "ferry/did_you_mean.hpp"
#include "ferry/wait_policy.hpp"
#include "text.hpp"

namespace ferry {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::uint32_t both = FERRY_OPTION_CONNECT | FERRY_OPTION_LISTEN;

constexpr ferry_option core_row(ferry_option_type type, const char* name, const char* default_text,
                                std::int64_t minimum, std::int64_t maximum, const char* help) {
  return {sizeof(ferry_option), type, both, 0, name, default_text, minimum, maximum, nullptr, help};
}

constexpr std::array<ferry_option, 4> core_rows{
    core_row(FERRY_OPTION_TEXT, "spin", "auto", 0, 32,
             "how long a blocked call spins before it sleeps: off, auto, or a duration of at most 1s"),
    core_row(FERRY_OPTION_DURATION, "linger", "1s", 0, 3600 * second_ns,
             "how long closing waits for the peer to take every byte written"),
    core_row(FERRY_OPTION_SIZE, "max_message", "64MiB", 1, std::int64_t{1} << 62,
             "largest message that a channel sends or receives; checked before memory is taken"),
    core_row(FERRY_OPTION_DURATION, "handshake_deadline", "10s", second_ns / 1000, 3600 * second_ns,
             "time for a new connection to finish its authentication before it is dropped")};

bool is_secret(const ferry_option& row) noexcept { return (row.flags & FERRY_OPTION_SECRET) != 0; }

std::string quote(const ferry_option& row, std::string_view text) {
  return is_secret(row) ? "the value" : "'" + text::excerpt(text) + "'";
}

bool parse_bool(std::string_view text, std::int64_t& value) noexcept {
  constexpr std::array<std::string_view, 4> yes{"true", "on", "yes", "1"};
  constexpr std::array<std::string_view, 4> no{"false", "off", "no", "0"};
  value = std::find(yes.begin(), yes.end(), text) != yes.end() ? 1 : 0;
  return value == 1 || std::find(no.begin(), no.end(), text) != no.end();
}

bool parse_integer(std::string_view text, int base, std::int64_t& value) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end == text.data() + text.size();
}

/// The integer-valued types, before the range check.
bool parse_number(const ferry_option& row, std::string_view text, std::int64_t& value, std::string& problem) {
  switch (row.type) {
    case FERRY_OPTION_BOOL:
      problem = quote(row, text) + " is neither true nor false";
      return parse_bool(text, value);
    case FERRY_OPTION_MODE:
      problem = quote(row, text) + " is not a file mode: write octal permission bits, for example 0600";
      return text.size() <= 5 && !text.starts_with('-') && parse_integer(text, 8, value);
    case FERRY_OPTION_SIZE:
    case FERRY_OPTION_DURATION: {
      const bool ok =
          row.type == FERRY_OPTION_SIZE ? parse_size(text, value, problem) : parse_duration(text, value, problem);
      if (is_secret(row)) problem = "the value is not of the option's type";
      return ok;
    }
    default:
      problem = quote(row, text) + " is not a whole number between " + std::to_string(row.minimum) + " and " +
                std::to_string(row.maximum);
      return parse_integer(text, 10, value);
  }
}

std::string format_number(const ferry_option& row, std::int64_t number) {
  switch (row.type) {
    case FERRY_OPTION_BOOL:
      return number != 0 ? "true" : "false";
    case FERRY_OPTION_SIZE:
      return format_size(number);
    case FERRY_OPTION_DURATION:
      return format_duration(number);
    case FERRY_OPTION_MODE: {
      std::array<char, 24> digits{};
      const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), number, 8);
      const std::string octal(digits.data(), result.ptr);
      return std::string(octal.size() < 4 ? 4 - octal.size() : 0, '0') + octal;
    }
    default:
      return std::to_string(number);
  }
}

bool check_range(const ferry_option& row, std::string_view text, std::int64_t number, std::string& problem) {
  if (number < row.minimum) {
    problem = quote(row, text) + " is below the minimum, " + format_number(row, row.minimum);
  } else if (number > row.maximum) {
    problem = quote(row, text) + " is above the maximum, " + format_number(row, row.maximum);
  } else {
    return true;
  }
  return false;
}

std::string list_choices(const ferry_option& row) {
  std::string list;
  for (const char* const* choice = row.choices; choice != nullptr && *choice != nullptr; ++choice) {
    list += (list.empty() ? "" : ", ") + std::string(*choice);
  }
  return list;
}

/// The row's entry equal to `text`, or null. Fills `problem` with the choices there are.
const char* find_choice(const ferry_option& row, std::string_view text, std::string& problem) {
  std::vector<std::string_view> choices;
  for (const char* const* choice = row.choices; choice != nullptr && *choice != nullptr; ++choice) {
    if (text == *choice) return *choice;
    choices.emplace_back(*choice);
  }
  problem = quote(row, text) + " is none of " + list_choices(row);
  if (!is_secret(row)) problem += did_you_mean(text, choices);
  return nullptr;
}

bool check_text(const ferry_option& row, std::string_view text, std::string& problem) {
  if (row.minimum > 0 && text.size() < static_cast<std::uint64_t>(row.minimum)) {
    problem =
        text.empty() ? "is empty" : quote(row, text) + " is shorter than " + std::to_string(row.minimum) + " bytes";
  } else if (row.maximum > 0 && text.size() > static_cast<std::uint64_t>(row.maximum)) {
    problem = quote(row, text) + " is longer than " + std::to_string(row.maximum) + " bytes";
  } else if (text.find('\0') != std::string_view::npos) {
    problem = quote(row, text) + " holds a NUL byte";
  } else {
    return true;
  }
  return false;
}

bool check_spin(std::string_view text, std::string& problem) {
  WaitPolicy policy;
  return WaitPolicy::parse(text::excerpt(text), policy, problem);
}

std::string unknown_option(std::string_view name, const OptionTable& table, const OptionTable& known_elsewhere) {
  std::vector<std::string_view> names;
  for (std::uint32_t i = 0; i < table.size(); ++i) names.emplace_back(table[i].name);
  for (std::uint32_t i = 0; i < known_elsewhere.size(); ++i) names.emplace_back(known_elsewhere[i].name);
  return "unknown option '" + text::excerpt(name) + "'" + did_you_mean(name, names);
}

}  // namespace

std::string_view describe(OptionSource source) noexcept {
  switch (source) {
    case OptionSource::table_default:
      return "default";
    case OptionSource::transport_config:
      return "transports of the config";
    case OptionSource::link_config:
      return "link or service of the config";
    case OptionSource::endpoint_object:
      return "options of the endpoint";
    case OptionSource::descriptor:
      break;
  }
  return "descriptor";
}

std::string ConfigLocation::to_string() const {
  if (empty()) return {};
  return file + ":" + std::to_string(line) + ":" + std::to_string(column) + " " + pointer;
}

std::int32_t OptionTable::find(std::string_view name) const noexcept {
  for (std::uint32_t i = 0; i < count_; ++i) {
    if ((*this)[i].name == name) return static_cast<std::int32_t>(i);
  }
  return -1;
}

OptionTable core_options() noexcept {
  return {core_rows.data(), static_cast<std::uint32_t>(core_rows.size()), sizeof(ferry_option)};
}

bool parse_option(const ferry_option& row, std::string_view text, ferry_value& value, std::string& problem) {
  ferry_value parsed{0, nullptr, 1, 1};
  if (row.type == FERRY_OPTION_CHOICE) {
    parsed.text = find_choice(row, text, problem);
    if (parsed.text == nullptr) return false;
  } else if (row.type == FERRY_OPTION_TEXT) {
    if (!check_text(row, text, problem)) return false;
    if (&row == &core_rows[static_cast<std::size_t>(CoreOption::spin)] && !check_spin(text, problem)) return false;
    parsed.text = text.data();
  } else if (!parse_number(row, text, parsed.integer, problem) || !check_range(row, text, parsed.integer, problem)) {
    return false;
  }
  value = parsed;
  return true;
}

bool parse_setting(const ferry_option& row, const OptionSetting& setting, ferry_value& value, std::string& problem) {
  const bool takes_number =
      row.type == FERRY_OPTION_INTEGER || row.type == FERRY_OPTION_SIZE || row.type == FERRY_OPTION_DURATION;
  if ((setting.form == SettingForm::number && !takes_number) ||
      (setting.form == SettingForm::boolean && row.type != FERRY_OPTION_BOOL)) {
    problem = "expected " + describe_type(row) + ", found " + setting.text;
    return false;
  }
  ferry_option quoted = row;
  if (setting.is_hidden) quoted.flags |= FERRY_OPTION_SECRET;
  const bool is_spin = &row == &core_rows[static_cast<std::size_t>(CoreOption::spin)];
  return parse_option(is_spin ? row : quoted, setting.text, value, problem);
}

std::string describe_type(const ferry_option& row) {
  switch (row.type) {
    case FERRY_OPTION_BOOL:
      return "true or false";
    case FERRY_OPTION_INTEGER:
      return "a whole number";
    case FERRY_OPTION_SIZE:
      return "a size such as \"256KiB\"";
    case FERRY_OPTION_DURATION:
      return "a duration such as \"20ms\"";
    case FERRY_OPTION_MODE:
      return "octal permission bits in quotes such as \"0600\"";
    case FERRY_OPTION_CHOICE:
      return "one of " + list_choices(row) + " in quotes";
    default:
      return "text in quotes";
  }
}

std::string format_option(const ferry_option& row, const ferry_value& value) {
  if (value.is_set == 0) return {};
  if (is_secret(row)) return "(secret)";
  if (row.type == FERRY_OPTION_TEXT || row.type == FERRY_OPTION_CHOICE) return value.text == nullptr ? "" : value.text;
  return format_number(row, value.integer);
}

OptionValues OptionValues::resolve(OptionTable table, std::span<const OptionSetting> settings,
                                   std::vector<std::string>& problems, OptionTable known_elsewhere) {
  OptionValues out;
  out.table_ = table;
  out.values_.resize(table.size());
  out.texts_.resize(table.size());
  out.sources_.resize(table.size(), OptionSource::table_default);
  out.locations_.resize(table.size());
  std::string problem;
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    if (table[i].default_text == nullptr) continue;
    const std::string text = table[i].default_text;
    if (parse_option(table[i], text, out.values_[i], problem)) {
      out.keep_text(i, text);
    } else {
      problems.push_back("option '" + std::string(table[i].name) +
                         "': the transport's own default is wrong: " + problem);
    }
    out.values_[i].is_explicit = 0;
  }
  for (const OptionSetting& setting : settings) {
    const std::string where = setting.location.empty() ? "" : setting.location.to_string() + ": ";
    const std::int32_t found = table.find(setting.name);
    if (found < 0) {
      if (known_elsewhere.find(setting.name) < 0) {
        problems.push_back(where + unknown_option(setting.name, table, known_elsewhere));
      }
      continue;
    }
    const auto index = static_cast<std::uint32_t>(found);
    if (!parse_setting(table[index], setting, out.values_[index], problem)) {
      problems.push_back(where + "option '" + setting.name + "': " + problem);
      continue;
    }
    out.keep_text(index, setting.text);
    out.sources_[index] = setting.source;
    out.locations_[index] = setting.location.to_string();
  }
  return out;
}

std::string OptionValues::missing_to_listen() const {
  for (std::uint32_t i = 0; i < size(); ++i) {
    const ferry_option& row = table_[i];
    const char* const text = values_[i].text;
    const bool is_empty = text != nullptr && *text == '\0';  // as from a variable of the environment
    if ((row.flags & FERRY_OPTION_NEEDED) == 0 || (values_[i].is_set != 0 && !is_empty)) continue;
    return "listening needs the option '" + std::string(row.name) + "': " + row.help;
  }
  return {};
}

void OptionValues::keep_text(std::uint32_t index, const std::string& text) {
  texts_[index] = text;
  if (values_[index].text != nullptr) values_[index].text = texts_[index].c_str();
}

OptionValues::OptionValues(const OptionValues& other)
    : table_(other.table_),
      values_(other.values_),
      texts_(other.texts_),
      sources_(other.sources_),
      locations_(other.locations_) {
  point_texts();
}

OptionValues& OptionValues::operator=(const OptionValues& other) {
  if (this != &other) *this = OptionValues(other);  // moving keeps each text where it is
  return *this;
}

void OptionValues::point_texts() noexcept {
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].text != nullptr) values_[i].text = texts_[i].c_str();
  }
}

ferry_values OptionValues::abi() const noexcept {
  return {sizeof(ferry_values), size(), sizeof(ferry_value), 0, values_.data()};
}

}  // namespace ferry

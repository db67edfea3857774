// Option tables and the values that configuration gives them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ferry/abi.h"

namespace ferry {

/// Where an effective value came from; a later source wins over an earlier one.
enum class OptionSource : std::uint8_t { table_default, transport_config, link_config, endpoint_object, descriptor };
std::string_view describe(OptionSource source) noexcept;

/// Where in a configuration file something stands; empty for what came from a command line or from code.
struct ConfigLocation {
  std::string file;
  std::size_t line = 0;    ///< from 1
  std::size_t column = 0;  ///< from 1, in characters
  std::string pointer;     ///< JSON pointer (RFC 6901)

  bool empty() const noexcept { return line == 0; }
  /// "app.json:12:7 /links/engine", or an empty text.
  std::string to_string() const;
};

/// How a setting was spelled: JSON numbers stand only for numbers, JSON booleans only for booleans, text for all.
enum class SettingForm : std::uint8_t { text, number, boolean };

/// One setting a user wrote, not yet validated.
struct OptionSetting {
  std::string name;
  std::string text;
  OptionSource source = OptionSource::descriptor;
  ConfigLocation location;  ///< quoted in messages
  SettingForm form = SettingForm::text;
  bool is_hidden = false;  ///< made from an environment variable: messages do not quote it
};

/// Rows of an option table, hiding the ABI's stride.
class OptionTable {
 public:
  OptionTable() = default;
  OptionTable(const ferry_option* rows, std::uint32_t count, std::uint32_t stride) noexcept
      : rows_(rows), count_(count), stride_(stride) {}
  std::uint32_t size() const noexcept { return count_; }
  const ferry_option& operator[](std::uint32_t index) const noexcept {
    return *reinterpret_cast<const ferry_option*>(reinterpret_cast<const char*>(rows_) + std::size_t{index} * stride_);
  }
  /// Index of the row with that name, or -1.
  std::int32_t find(std::string_view name) const noexcept;

 private:
  const ferry_option* rows_ = nullptr;
  std::uint32_t count_ = 0;
  std::uint32_t stride_ = sizeof(ferry_option);
};

/// The options every transport has because the core provides them, in the order of CoreOption.
OptionTable core_options() noexcept;
enum class CoreOption : std::uint32_t { spin, linger, max_message, handshake_deadline };

/// Parses one value as its row demands and checks its range. Returns false and sets `problem` ("'12kb' is not a size:
/// write a number and B, KiB, …"), which quotes no secret. `value.text` refers to `text`, whose storage stays the
/// caller's and must be NUL-terminated when the row is FERRY_OPTION_TEXT.
bool parse_option(const ferry_option& row, std::string_view text, ferry_value& value, std::string& problem);
/// The same for a setting, whose form must suit the row too.
bool parse_setting(const ferry_option& row, const OptionSetting& setting, ferry_value& value, std::string& problem);
/// What a row takes, for messages: "a size such as \"256KiB\"".
std::string describe_type(const ferry_option& row);
/// Prints a value the way a user would write it; parses back to the same value. "(secret)" for secrets, empty when
/// unset.
std::string format_option(const ferry_option& row, const ferry_value& value);

/// A number and B, KiB, MiB, GiB (powers of 1024), KB, MB or GB (powers of 1000); a number alone is bytes. Fractions
/// must come out whole ("1.5KiB"). Returns false and sets `problem` when malformed or above INT64_MAX.
bool parse_size(std::string_view text, std::int64_t& bytes, std::string& problem);
/// A number and ns, us, ms, s, min or h; 0 needs no unit. Otherwise as parse_size.
bool parse_duration(std::string_view text, std::int64_t& ns, std::string& problem);
/// Prints what parse_size and parse_duration read back to the same number, in the largest unit that is exact.
std::string format_size(std::int64_t bytes);
std::string format_duration(std::int64_t ns);

/// The resolved values of one table. Owns its text. Movable and copyable.
class OptionValues {
 public:
  /// Resolves `settings` (in increasing precedence: the last one of a name wins) over the table's defaults. Appends one
  /// message per unknown name (with did-you-mean), bad or out-of-range value to `problems`, and leaves that option as
  /// it was. Settings that only `known_elsewhere` has a row for (the core's own options) are skipped.
  static OptionValues resolve(OptionTable table, std::span<const OptionSetting> settings,
                              std::vector<std::string>& problems, OptionTable known_elsewhere = {});

  const ferry_value& operator[](std::uint32_t index) const noexcept { return values_[index]; }
  OptionSource source(std::uint32_t index) const noexcept { return sources_[index]; }
  /// Where the value was written: ConfigLocation::to_string, empty for defaults and descriptors.
  const std::string& location(std::uint32_t index) const noexcept { return locations_[index]; }
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(values_.size()); }
  /// What keeps these values from being listened with, an option that is needed and unset or empty; "" when none.
  std::string missing_to_listen() const;
  OptionTable table() const noexcept { return table_; }
  /// For an ABI call; valid while *this is alive and unchanged.
  ferry_values abi() const noexcept;

  OptionValues() = default;
  OptionValues(const OptionValues& other);
  OptionValues& operator=(const OptionValues& other);
  OptionValues(OptionValues&&) noexcept = default;
  OptionValues& operator=(OptionValues&&) noexcept = default;
  ~OptionValues() = default;

 private:
  void keep_text(std::uint32_t index, const std::string& text);
  void point_texts() noexcept;
  OptionTable table_;
  std::vector<ferry_value> values_;
  std::vector<std::string> texts_;
  std::vector<OptionSource> sources_;
  std::vector<std::string> locations_;
};

}  // namespace ferry

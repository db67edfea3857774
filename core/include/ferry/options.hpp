// Option tables and the values that configuration gives them.
#pragma once

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

/// One setting a user wrote, not yet validated.
struct OptionSetting {
  std::string name;
  std::string text;
  OptionSource source = OptionSource::descriptor;
  std::string location;  ///< "app.json:12:7 /links/engine" or empty; quoted in messages
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

/// The options every transport has because the core provides them: spin, linger, max_message, handshake_deadline.
OptionTable core_options() noexcept;
enum class CoreOption : std::uint32_t { spin, linger, max_message, handshake_deadline };

/// Parses one value as its row demands. Returns false and sets `problem` ("'12kb' is not a size: use B, KiB, MiB,
/// GiB, for example 256KiB"). `text` in the result refers to storage of the caller.
bool parse_option(const ferry_option& row, std::string_view text, ferry_value& value, std::string& problem);
/// Prints a value the way a user would write it; parses back to the same value.
std::string format_option(const ferry_option& row, const ferry_value& value);
/// Size and duration spellings of the config, shared with the option parser. Same contract as parse_option.
bool parse_size(std::string_view text, std::int64_t& bytes, std::string& problem);
bool parse_duration(std::string_view text, std::int64_t& ns, std::string& problem);

/// The resolved values of one table. Owns its text. Movable and copyable.
class OptionValues {
 public:
  /// Resolves `settings` (in increasing precedence) over the table's defaults. Appends one message per unknown name
  /// (with did-you-mean), bad or out-of-range value to `problems`. Settings for which `known_elsewhere` has a row
  /// (the core's own options) are skipped.
  static OptionValues resolve(OptionTable table, std::span<const OptionSetting> settings,
                              std::vector<std::string>& problems, OptionTable known_elsewhere = {});

  const ferry_value& operator[](std::uint32_t index) const noexcept { return values_[index]; }
  OptionSource source(std::uint32_t index) const noexcept { return sources_[index]; }
  const std::string& location(std::uint32_t index) const noexcept { return locations_[index]; }
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(values_.size()); }
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
  void point_texts() noexcept;
  OptionTable table_;
  std::vector<ferry_value> values_;
  std::vector<std::string> texts_;
  std::vector<OptionSource> sources_;
  std::vector<std::string> locations_;
};

}  // namespace ferry

#include "config_reader.hpp"

#include <algorithm>
#include <utility>

#include "ferry/did_you_mean.hpp"
#include "text.hpp"

namespace ferry {
namespace {

std::string missing_key(const ConfigKey& key) {
  return "key '" + std::string(key.name) + "' is missing: " + std::string(key.help);
}

/// The names an object may have, for suggestions.
std::vector<std::string_view> names_of(const ConfigShape& shape) {
  std::vector<std::string_view> names;
  for (const ConfigKey& key : shape.keys) names.push_back(key.name);
  const OptionTable core = core_options();
  for (std::uint32_t i = 0; shape.takes_core_options && i < core.size(); ++i) names.emplace_back(core[i].name);
  return names;
}

}  // namespace

void ConfigReader::problem_at_name(const Value& value, std::string message) {
  problems_.add(source_.locate(value.node->name_begin, value.pointer), std::move(message));
}

std::vector<ConfigReader::Value> ConfigReader::items(const Value& value) {
  std::vector<Value> out;
  for (const JsonNode& item : value.node->items) {
    const bool in_list = value.node->type == JsonNode::Type::array;
    out.push_back({&item, extend_pointer(value.pointer, in_list ? std::to_string(out.size()) : item.name)});
  }
  return out;
}

std::optional<ConfigReader::Value> ConfigReader::find(const Value& object, std::string_view name) {
  for (const JsonNode& item : object.node->items) {
    if (item.name == name) return Value{&item, extend_pointer(object.pointer, name)};
  }
  return std::nullopt;
}

bool ConfigReader::expect(const Value& value, JsonNode::Type type) {
  if (value.node->type == type) return true;
  problem(value, "expected " + std::string(describe(type)) + ", found " + std::string(describe(value.node->type)));
  return false;
}

/// Whether `value` is an object; reports keys that `shape` does not have and those that are missing.
bool ConfigReader::open(const Value& value, const ConfigShape& shape) {
  if (!expect(value, JsonNode::Type::object)) return false;
  const std::vector<std::string_view> names = names_of(shape);
  for (const Value& item : items(value)) {
    if (std::find(names.begin(), names.end(), item.node->name) != names.end()) continue;
    problem_at_name(item,
                    "unknown key '" + text::excerpt(item.node->name) + "'" + did_you_mean(item.node->name, names));
  }
  for (const ConfigKey& key : shape.keys) {
    if (key.is_required && !find(value, key.name)) problem(value, missing_key(key));
    const auto item = find(value, key.name);
    if (key.kind == KeyKind::ignored && item) (void)expect(*item, JsonNode::Type::string);
  }
  return true;
}

std::optional<Expansion> ConfigReader::text(const Value& value) {
  if (!expect(value, JsonNode::Type::string)) return std::nullopt;
  Expansion expansion = expand_variables(value.node->text);
  if (expansion.problem.empty() && expansion.text.find('\0') != std::string::npos) {
    expansion.problem = "holds a NUL character";
  }
  if (expansion.problem.empty()) return expansion;
  problem(value, expansion.problem);
  return std::nullopt;
}

std::optional<OptionSetting> ConfigReader::setting(const Value& value, OptionSource source, std::string_view expected) {
  OptionSetting out{value.node->name, value.node->text, source, locate(value), SettingForm::text, false};
  switch (value.node->type) {
    case JsonNode::Type::number:
      out.form = SettingForm::number;
      return out;
    case JsonNode::Type::boolean:
      out.form = SettingForm::boolean;
      return out;
    case JsonNode::Type::string: {
      const auto expansion = text(value);
      if (!expansion) return std::nullopt;
      out.text = expansion->text;
      out.is_hidden = expansion->is_hidden;
      return out;
    }
    default:
      break;
  }
  problem(value, "expected " + std::string(expected) + ", found " + std::string(describe(value.node->type)));
  return std::nullopt;
}

/// The scalar member `name` of an object, as its row in the shape says; nothing when it is absent or wrong.
std::optional<ConfigReader::Scalar> ConfigReader::scalar(const Value& object, const ConfigShape& shape,
                                                         std::string_view name) {
  const auto item = find(object, name);
  if (!item) return std::nullopt;
  const ferry_option& row = shape.find(name)->row;
  auto made = setting(*item, OptionSource::link_config, describe_type(row));
  if (!made) return std::nullopt;
  Scalar out{std::move(*made), {}};
  std::string why;
  if (parse_setting(row, out.setting, out.value, why)) return out;
  problem(*item, why);
  return std::nullopt;
}

/// The number of a scalar member: what is written, else the default of its row.
std::int64_t ConfigReader::number(const Value& object, const ConfigShape& shape, std::string_view name) {
  if (const auto written = scalar(object, shape, name)) return written->value.integer;
  const ferry_option& row = shape.find(name)->row;
  ferry_value value{};
  std::string why;
  (void)parse_option(row, row.default_text, value, why);
  return value.integer;
}

/// The text of a scalar member: what is written, else the default of its row, else empty.
std::string ConfigReader::word(const Value& object, const ConfigShape& shape, std::string_view name) {
  if (const auto written = scalar(object, shape, name)) return written->setting.text;
  const char* const default_text = shape.find(name)->row.default_text;
  return default_text == nullptr ? "" : default_text;
}

void ConfigReader::check_core_option(const OptionSetting& setting, const ConfigLocation& location) {
  const std::int32_t index = core_options().find(setting.name);
  if (index < 0) return;
  ferry_value value{};
  std::string why;
  if (!parse_setting(core_options()[static_cast<std::uint32_t>(index)], setting, value, why)) {
    problems_.add(location, "option '" + setting.name + "': " + why);
  }
}

/// An object of options. Names that the core does not know wait for the plugin's table.
std::vector<OptionSetting> ConfigReader::settings(const Value& value, OptionSource source) {
  std::vector<OptionSetting> out;
  if (!expect(value, JsonNode::Type::object)) return out;
  for (const Value& item : items(value)) {
    auto made = setting(item, source, "text, a number, true or false");
    if (!made) continue;
    check_core_option(*made, made->location);
    out.push_back(std::move(*made));
  }
  return out;
}

/// The core's options among the members of a link or service.
std::vector<OptionSetting> ConfigReader::core_settings(const Value& object) {
  std::vector<OptionSetting> out;
  for (const Value& item : items(object)) {
    const std::int32_t index = core_options().find(item.node->name);
    if (index < 0) continue;
    auto made =
        setting(item, OptionSource::link_config, describe_type(core_options()[static_cast<std::uint32_t>(index)]));
    if (!made) continue;
    check_core_option(*made, made->location);
    out.push_back(std::move(*made));
  }
  return out;
}

/// Where byte `offset` of the expanded text is in the file, when the two are the same bytes.
std::optional<ConfigLocation> ConfigReader::locate_in_text(const Value& value, const Expansion& text,
                                                           std::size_t offset) const {
  if (value.node->has_escapes || text.text != value.node->text) return std::nullopt;
  return source_.locate(value.node->begin + 1 + offset, value.pointer);
}

/// The endpoints that one string names.
std::vector<ConfiguredEndpoint> ConfigReader::descriptors(const Value& value, bool is_list) {
  std::vector<ConfiguredEndpoint> out;
  const auto written = text(value);
  if (!written) return out;
  try {
    std::vector<Endpoint> parsed;
    is_list ? parsed = parse_endpoints(written->text) : parsed = {parse_endpoint(written->text)};
    for (Endpoint& endpoint : parsed) out.push_back({std::move(endpoint), {}, locate(value), written->is_hidden});
  } catch (const DescriptorError& error) {
    const bool is_name = is_link_name(written->text);
    problems_.add(
        locate_in_text(value, *written, error.offset()).value_or(locate(value)),
        error.reason() + (is_name ? "; a link's name stands alone, as a relay's \"to\", and in no list" : ""));
  }
  for (const ConfiguredEndpoint& configured : out) {
    for (const EndpointOption& option : configured.endpoint.options) {
      check_core_option(
          {option.name, option.value, OptionSource::descriptor, {}, SettingForm::text, written->is_hidden},
          locate(value));
    }
  }
  return out;
}

/// One endpoint: a descriptor, or an object with a descriptor and options. Empty when it is wrong.
std::vector<ConfiguredEndpoint> ConfigReader::endpoint(const Value& value) {
  if (value.node->type != JsonNode::Type::object) {
    if (value.node->type == JsonNode::Type::string) return descriptors(value, false);
    problem(value, "expected a descriptor or an object with one, found " + std::string(describe(value.node->type)));
    return {};
  }
  (void)open(value, endpoint_shape);
  std::vector<ConfiguredEndpoint> out;
  if (const auto descriptor = find(value, "descriptor")) out = descriptors(*descriptor, false);
  const auto options = find(value, "options");
  std::vector<OptionSetting> added;
  if (options) added = settings(*options, OptionSource::endpoint_object);
  if (!out.empty()) out.front().settings = std::move(added);
  return out;
}

std::vector<ConfiguredEndpoint> ConfigReader::endpoints(const Value& value) {
  std::vector<ConfiguredEndpoint> out;
  if (!expect(value, JsonNode::Type::array)) return out;
  if (value.node->items.empty()) problem(value, "at least one descriptor is needed");
  if (value.node->items.size() > max_descriptors_per_list) {
    problem(value, "at most " + std::to_string(max_descriptors_per_list) + " descriptors are taken");
    return out;
  }
  for (const Value& item : items(value)) {
    for (ConfiguredEndpoint& made : endpoint(item)) out.push_back(std::move(made));
  }
  return out;
}

}  // namespace ferry

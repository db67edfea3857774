// The JSON Schema (2020-12) of the configuration, made from its shape and the plugins' option tables.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config_shape.hpp"
#include "endpoint_grammar.hpp"
#include "ferry/config.hpp"

namespace ferry {
namespace {

using Json = nlohmann::ordered_json;

Json reference(const std::string& name) { return {{"$ref", "#/$defs/" + name}}; }

/// Strings that hold a variable are what the variable makes them.
Json or_variable(std::vector<Json> alternatives) {
  alternatives.push_back(reference("variable"));
  return {{"anyOf", alternatives}};
}

Json number_between(const ferry_option& row) {
  return {{"type", "integer"}, {"minimum", row.minimum}, {"maximum", row.maximum}};
}

Json text_between(const ferry_option& row) {
  Json text = {{"type", "string"}, {"minLength", row.minimum}};
  if (row.maximum > 0) text["maxLength"] = row.maximum;
  return text;
}

Json choices_of(const ferry_option& row) {
  Json choices = Json::array();
  for (const char* const* choice = row.choices; choice != nullptr && *choice != nullptr; ++choice) {
    choices.push_back(*choice);
  }
  return {{"enum", choices}};
}

Json value_of(const ferry_option& row) {
  switch (row.type) {
    case FERRY_OPTION_BOOL:
      return or_variable({{{"type", "boolean"}}, reference("boolean_text")});
    case FERRY_OPTION_INTEGER:
      return or_variable({number_between(row), reference("integer_text")});
    case FERRY_OPTION_SIZE:
      return or_variable({number_between(row), reference("size")});
    case FERRY_OPTION_DURATION:
      return or_variable({{{"const", 0}}, reference("duration")});
    case FERRY_OPTION_MODE:
      return or_variable({reference("mode")});
    case FERRY_OPTION_CHOICE:
      return or_variable({choices_of(row)});
    default:
      return text_between(row);
  }
}

std::string range_of(const ferry_option& row) {
  if (row.type != FERRY_OPTION_SIZE && row.type != FERRY_OPTION_DURATION && row.type != FERRY_OPTION_INTEGER) return {};
  const auto print = [&](std::int64_t number) { return format_option(row, {number, nullptr, 1, 0}); };
  return "; " + print(row.minimum) + " to " + print(row.maximum);
}

Json schema_of(const ferry_option& row) {
  Json schema = value_of(row);
  schema["description"] = std::string(row.help) + range_of(row);
  if (row.default_text != nullptr) {
    schema["default"] = row.type == FERRY_OPTION_BOOL      ? Json(std::string(row.default_text) == "true")
                        : row.type == FERRY_OPTION_INTEGER ? Json::parse(row.default_text, nullptr, false)
                                                           : Json(row.default_text);
  }
  return schema;
}

Json properties_of(const OptionTable& table) {
  Json properties = Json::object();
  for (std::uint32_t i = 0; i < table.size(); ++i) properties[table[i].name] = schema_of(table[i]);
  return properties;
}

Json strict_object(Json properties) {
  return {{"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
}

Json list_of(Json items, int fewest) { return {{"type", "array"}, {"items", std::move(items)}, {"minItems", fewest}}; }

Json map_of(Json values) { return {{"type", "object"}, {"additionalProperties", std::move(values)}}; }

Json shape_schema(const ConfigShape& shape, const std::vector<const Plugin*>& plugins);

/// Options per scheme; schemes whose plugin is not at hand take any option.
Json schemes_schema(const std::vector<const Plugin*>& plugins) {
  Json schemes = Json::object();
  for (const Plugin* plugin : plugins) {
    Json options = properties_of(core_options());
    options.update(properties_of(plugin->options()));
    Json schema = strict_object(std::move(options));
    schema["description"] = plugin->abi().description;
    for (const char* const* scheme = plugin->abi().schemes; *scheme != nullptr; ++scheme) {
      const std::string_view canonical = grammar::canonical_scheme(*scheme);
      schemes[*scheme] = canonical.empty() || canonical == *scheme ? schema : Json(false);
    }
  }
  return {{"type", "object"}, {"properties", schemes}, {"additionalProperties", reference("options")}};
}

/// What one key of a service demands of the others, as far as no variable hides it.
Json service_rules() {
  const Json relays = {{"properties", {{"service", {{"const", "relay"}}}}}};
  const Json answers = {{"properties", {{"service", {{"enum", {"echo", "discard"}}}}}}};
  const Json has_to = {{"required", {"to"}}};
  const Json has_authkey = {{"required", {"authkey"}}};
  const Json framed = {{"properties", {{"framing", or_variable({{{"const", "messages"}}})}}},
                       {"required", {"framing"}}};
  return {{{"if", relays}, {"then", has_to}},
          {{"if", answers}, {"then", {{"not", has_to}}}},
          {{"if", has_authkey}, {"then", framed}}};
}

Json key_schema(const ConfigKey& key, const std::vector<const Plugin*>& plugins) {
  switch (key.kind) {
    case KeyKind::scalar:
      return schema_of(key.row);
    case KeyKind::ignored:
      return {{"type", "string"}};
    case KeyKind::texts:
      return list_of({{"type", "string"}}, 0);
    case KeyKind::digests:
      return map_of(or_variable({{{"type", "string"}, {"pattern", "^[0-9a-f]{64}$"}}}));
    case KeyKind::options:
      return reference("options");
    case KeyKind::schemes:
      return schemes_schema(plugins);
    case KeyKind::descriptor:
      return reference("descriptor");
    case KeyKind::endpoints:
      return reference("endpoints");
    case KeyKind::target:
      return {{"anyOf", {{{"type", "string"}}, reference("endpoint"), reference("endpoints")}}};
    case KeyKind::object:
      return shape_schema(*key.shape, plugins);
    case KeyKind::named: {
      Json named = map_of(shape_schema(*key.shape, plugins));
      named["propertyNames"] = {{"pattern", "^[A-Za-z][A-Za-z0-9_.-]{0,63}$"}};
      return named;
    }
    case KeyKind::list:
      break;
  }
  return list_of(shape_schema(*key.shape, plugins), 0);
}

Json shape_schema(const ConfigShape& shape, const std::vector<const Plugin*>& plugins) {
  Json properties = Json::object();
  Json required = Json::array();
  for (const ConfigKey& key : shape.keys) {
    Json schema = key_schema(key, plugins);
    if (key.kind != KeyKind::scalar) schema["description"] = key.help;
    properties[std::string(key.name)] = std::move(schema);
    if (key.is_required) required.push_back(key.name);
  }
  if (shape.takes_core_options) properties.update(properties_of(core_options()));
  Json schema = strict_object(std::move(properties));
  schema["title"] = shape.title;
  if (!required.empty()) schema["required"] = required;
  if (&shape == &service_shape) schema["allOf"] = service_rules();
  return schema;
}

Json pattern(const char* expression, const char* description) {
  return {{"type", "string"}, {"pattern", expression}, {"description", description}};
}

Json definitions() {
  return {{"variable", pattern("\\$\\{", "text with ${VAR} or ${VAR:-default}")},
          {"boolean_text", {{"enum", {"true", "false", "on", "off", "yes", "no", "1", "0"}}}},
          {"integer_text", pattern("^-?[0-9]+$", "a whole number")},
          {"size", pattern("^[0-9]+(\\.[0-9]+)?(B|KB|KiB|MB|MiB|GB|GiB)?$", "a size such as 256KiB")},
          {"duration", pattern("^(0|[0-9]+(\\.[0-9]+)?(ns|us|ms|s|min|h))$", "a duration such as 20ms")},
          {"mode", pattern("^[0-7]{1,5}$", "octal permission bits such as 0600")},
          {"options", map_of({{"type", {"string", "number", "boolean"}}})},
          {"descriptor", {{"type", "string"}, {"minLength", 1}, {"examples", {"tcp://127.0.0.1:7000"}}}},
          {"endpoint", {{"anyOf", {reference("descriptor"), shape_schema(endpoint_shape, {})}}}},
          {"endpoints", list_of(reference("endpoint"), 1)}};
}

}  // namespace

std::string config_schema(const std::vector<const Plugin*>& plugins) {
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}};
  schema.update(shape_schema(root_shape, plugins));
  schema["$defs"] = definitions();
  return schema.dump(2) + "\n";
}

}  // namespace ferry

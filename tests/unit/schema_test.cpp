#include <doctest/doctest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "config_shape.hpp"
#include "ferry/config.hpp"

namespace {

using nlohmann::json;

void collect_references(const json& schema, std::set<std::string>& references) {
  for (const auto& item : schema.items()) {
    if (item.key() == "$ref") references.insert(item.value().get<std::string>());
    if (item.value().is_structured()) collect_references(item.value(), references);
  }
}

void check_shape(const json& schema, const ferry::ConfigShape& shape) {
  CAPTURE(std::string(shape.title));
  CHECK(schema.at("type") == "object");
  CHECK(schema.at("additionalProperties") == false);
  const std::uint32_t core = shape.takes_core_options ? ferry::core_options().size() : 0;
  CHECK(schema.at("properties").size() == shape.keys.size() + core);
  for (const ferry::ConfigKey& key : shape.keys) {
    CAPTURE(std::string(key.name));
    CHECK_FALSE(schema.at("properties").at(std::string(key.name)).at("description").get<std::string>().empty());
  }
}

}  // namespace

TEST_CASE("the schema has every key of the shape, each described, and no other") {
  const json schema = json::parse(ferry::config_schema({}));
  CHECK(schema.at("$schema") == "https://json-schema.org/draft/2020-12/schema");
  check_shape(schema, ferry::root_shape);
  const json& properties = schema.at("properties");
  check_shape(properties.at("plugins"), ferry::plugins_shape);
  check_shape(properties.at("log"), ferry::log_shape);
  check_shape(properties.at("links").at("additionalProperties"), ferry::link_shape);
  check_shape(properties.at("services").at("items"), ferry::service_shape);
  CHECK(properties.at("services").at("items").at("required") == json({"name", "listen", "service"}));
}

TEST_CASE("references and definitions of the schema match") {
  const json schema = json::parse(ferry::config_schema({}));
  std::set<std::string> references;
  collect_references(schema, references);
  references.insert("#/$defs/mode");  // of options that only plugins have
  std::set<std::string> definitions;
  for (const auto& item : schema.at("$defs").items()) definitions.insert("#/$defs/" + item.key());
  CHECK(references == definitions);
}

TEST_CASE("scalars carry type, range and default from their rows") {
  const json schema = json::parse(ferry::config_schema({}));
  const json& link = schema.at("properties").at("links").at("additionalProperties").at("properties");
  CHECK(link.at("connect_deadline").at("default") == "10s");
  CHECK(link.at("race").at("default") == false);
  CHECK(link.at("max_message").at("anyOf").at(0).at("maximum") == std::int64_t{1} << 62);
  CHECK(link.at("linger").at("description").get<std::string>().ends_with("; 0s to 1h"));
  const json& log = schema.at("properties").at("log").at("properties");
  CHECK(log.at("format").at("anyOf").at(0).at("enum") == json({"text", "json"}));
}

// The configuration made from its JSON tree, every problem collected on the way.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config_problems.hpp"
#include "config_shape.hpp"
#include "config_variables.hpp"
#include "ferry/config.hpp"
#include "json_tree.hpp"

namespace ferry {

class ConfigReader {
 public:
  ConfigReader(const ConfigSource& source, ConfigProblems& problems) noexcept : source_(source), problems_(problems) {}
  Config read(const JsonNode& root);

 private:
  struct Value {
    const JsonNode* node;
    std::string pointer;
  };
  struct Scalar {
    OptionSetting setting;
    ferry_value value;  ///< its text, if any, is setting.text's or static
  };

  ConfigLocation locate(const Value& value) const { return source_.locate(value.node->begin, value.pointer); }
  void problem(const Value& value, std::string message) { problems_.add(locate(value), std::move(message)); }
  void problem_at_name(const Value& value, std::string message);

  static std::vector<Value> items(const Value& value);
  static std::optional<Value> find(const Value& object, std::string_view name);
  bool expect(const Value& value, JsonNode::Type type);
  bool open(const Value& value, const ConfigShape& shape);

  std::optional<Expansion> text(const Value& value);
  std::optional<OptionSetting> setting(const Value& value, OptionSource source, std::string_view expected);
  std::optional<Scalar> scalar(const Value& object, const ConfigShape& shape, std::string_view name);
  std::int64_t number(const Value& object, const ConfigShape& shape, std::string_view name);
  std::string word(const Value& object, const ConfigShape& shape, std::string_view name);
  std::vector<OptionSetting> settings(const Value& value, OptionSource source);
  std::vector<OptionSetting> core_settings(const Value& object);
  void check_core_option(const OptionSetting& setting, const ConfigLocation& location);

  std::vector<ConfiguredEndpoint> descriptors(const Value& value, bool is_list);
  std::vector<ConfiguredEndpoint> endpoint(const Value& value);
  std::vector<ConfiguredEndpoint> endpoints(const Value& value);
  std::optional<ConfigLocation> locate_in_text(const Value& value, const Expansion& text, std::size_t offset) const;

  void read_plugin_dirs(const Value& value, Config& config);
  void read_plugins(const Value& value, RegistryPolicy& policy);
  void read_transports(const Value& value, Config& config);
  void read_links(const Value& value, Config& config);
  void read_services(const Value& value, Config& config);
  ServiceConfig read_service(const Value& value, const Config& config);
  void read_target(const Value& value, const Config& config, ServiceConfig& service);
  static bool is_one_of(const Value& value, std::initializer_list<std::string_view> words);
  void check_service(const Value& value, const ServiceConfig& service);
  void check_unique(const Value& value, const ServiceConfig& service);

  const ConfigSource& source_;
  ConfigProblems& problems_;
  std::map<std::string, ConfigLocation> service_names_;
  std::map<std::string, ConfigLocation> listen_addresses_;
};

}  // namespace ferry

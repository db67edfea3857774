// `ferry explain`: what a descriptor or link comes to - plugin, and each option's value, where it came from, and what
// the system would grant of it. Opens and contacts nothing.
#include <spdlog/fmt/fmt.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "context.hpp"
#include "json.hpp"

namespace ferry::host {
namespace {

struct OptionRow {
  std::string name;
  std::string value;
  std::string source;
  std::string location;
  std::string granted;  // empty: as asked, or it cannot be told without connecting
};

std::string shown(const ferry_option& row, const ferry_value& value) {
  if (value.is_set == 0) return "(system's own)";
  if ((row.flags & FERRY_OPTION_SECRET) != 0) return "(secret)";
  return format_option(row, value);
}

std::vector<ferry_value> granted_values(const ResolvedEndpoint& resolved) {
  std::vector<ferry_value> granted(resolved.options.size());
  ferry_transport* transport = resolved.transport;
  if (!FERRY_HAS(transport->ops, ferry_transport_ops, effective)) return granted;
  ferry_error error{};
  error.struct_size = sizeof(error);
  const ferry_values options = resolved.options.abi();
  const ferry_status status =
      transport->ops->effective(transport, &options, granted.data(), resolved.options.size(), &error);
  if (status != FERRY_OK) throw_error(error, "explain", resolved.endpoint.to_string());
  return granted;
}

void add_rows(std::vector<OptionRow>& rows, const OptionValues& values, const std::vector<ferry_value>& granted) {
  for (std::uint32_t i = 0; i < values.size(); ++i) {
    const ferry_option& option = values.table()[i];
    OptionRow row{option.name, shown(option, values[i]), std::string(describe(values.source(i))), values.location(i),
                  ""};
    if (i < granted.size() && granted[i].is_set != 0) row.granted = shown(option, granted[i]);
    if (row.granted == row.value) row.granted.clear();
    rows.push_back(std::move(row));
  }
}

std::vector<OptionRow> option_rows(const ResolvedEndpoint& resolved) {
  std::vector<OptionRow> rows;
  add_rows(rows, resolved.options, granted_values(resolved));
  add_rows(rows, resolved.core, {});
  return rows;
}

void print_text(const ResolvedEndpoint& resolved) {
  const ferry_plugin& plugin = resolved.plugin->abi();
  std::cout << resolved.endpoint.to_string() << "\n"
            << fmt::format("  scheme   {}\n  address  {}\n  plugin   {} {}, ABI {}.{}, {}\n", resolved.endpoint.scheme,
                           resolved.endpoint.address, plugin.name, plugin.version, plugin.abi_major, plugin.abi_minor,
                           resolved.plugin->path().string());
  for (const auto& row : option_rows(resolved)) {
    std::cout << fmt::format("  {:<20} {:<16} {}", row.name, row.value, row.source);
    if (!row.location.empty()) std::cout << " (" << row.location << ")";
    if (!row.granted.empty()) std::cout << "; the system grants " << row.granted;
    std::cout << "\n";
  }
}

Json as_json(const ResolvedEndpoint& resolved) {
  const ferry_plugin& plugin = resolved.plugin->abi();
  Json options = Json::array();
  for (const auto& row : option_rows(resolved)) {
    Json option = {{"name", row.name}, {"value", row.value}, {"source", row.source}};
    if (!row.location.empty()) option["location"] = row.location;
    if (!row.granted.empty()) option["granted"] = row.granted;
    options.push_back(std::move(option));
  }
  return {{"descriptor", resolved.endpoint.to_string()},
          {"scheme", resolved.endpoint.scheme},
          {"address", resolved.endpoint.address},
          {"plugin",
           {{"name", plugin.name},
            {"version", plugin.version},
            {"abi", fmt::format("{}.{}", plugin.abi_major, plugin.abi_minor)},
            {"path", resolved.plugin->path().string()}}},
          {"options", std::move(options)}};
}

ExitCode explain(const Context& context, const std::string& target, const std::string& config) {
  Runtime runtime = context.make_runtime(config);
  Json all = Json::array();
  for (const auto& endpoint : runtime.endpoints_of(target)) {
    const ResolvedEndpoint resolved = runtime.resolve(endpoint);
    context.json ? all.push_back(as_json(resolved)) : print_text(resolved);
  }
  if (context.json) print_json(all);
  return ExitCode::ok;
}

}  // namespace

void add_explain(Command& ferry, Context& context) {
  struct Arguments {
    std::string target;
    std::string config;
  };
  const auto arguments = std::make_shared<Arguments>();
  Command verb =
      add_verb(ferry, context, "explain", "Say what a descriptor or link comes to, and where each option is from",
               [&context, arguments] { return explain(context, arguments->target, arguments->config); });
  verb.option("DESCRIPTOR|LINK", arguments->target, "A descriptor, a comma-separated list, or a link of the config")
      .required();
  verb.option("--config", arguments->config, "The config file that has the links and defaults");
}

}  // namespace ferry::host

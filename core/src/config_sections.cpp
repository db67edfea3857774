// The sections of the configuration: one function each.
#include <algorithm>
#include <filesystem>

#include "config_reader.hpp"
#include "endpoint_grammar.hpp"
#include "ferry/did_you_mean.hpp"
#include "text.hpp"

namespace ferry {
namespace {

bool is_plugin_name(std::string_view text) noexcept { return text::is_word(text, "_"); }

bool is_sha256(std::string_view text) noexcept {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// Listeners on a port that the system chooses do not collide.
bool is_ephemeral(const Endpoint& endpoint) { return endpoint.address.ends_with(":0"); }

}  // namespace

bool is_link_name(std::string_view text) noexcept {
  constexpr std::size_t most_bytes = 64;
  const auto is_letter = [](char c) { return text::is_lower(c) || (c >= 'A' && c <= 'Z'); };
  return !text.empty() && text.size() <= most_bytes && is_letter(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_letter(c) || text::is_digit(c) || c == '_' || c == '-' || c == '.'; });
}

Config ConfigReader::read(const JsonNode& node) {
  Config config;
  const Value root{&node, {}};
  if (!open(root, root_shape)) return config;
  if (const auto dirs = find(root, "plugin_dirs")) read_plugin_dirs(*dirs, config);
  if (const auto plugins = find(root, "plugins")) read_plugins(*plugins, config.plugins);
  if (const auto transports = find(root, "transports")) read_transports(*transports, config);
  if (const auto links = find(root, "links")) read_links(*links, config);
  if (const auto services = find(root, "services")) read_services(*services, config);
  const auto log = find(root, "log");
  if (log && open(*log, log_shape)) {
    config.log.level = word(*log, log_shape, "level");
    config.log.format = word(*log, log_shape, "format");
  }
  return config;
}

void ConfigReader::read_plugin_dirs(const Value& value, Config& config) {
  if (!expect(value, JsonNode::Type::array)) return;
  const std::filesystem::path folder = std::filesystem::path(source_.file()).parent_path();
  for (const Value& item : items(value)) {
    const auto directory = text(item);
    if (!directory) continue;
    if (directory->text.empty()) problem(item, "a directory's name is missing");
    config.plugins.plugin_dirs.push_back((folder / directory->text).lexically_normal());
  }
}

void ConfigReader::read_plugins(const Value& value, RegistryPolicy& policy) {
  if (!open(value, plugins_shape)) return;
  const auto allow = find(value, "allow");
  if (allow && expect(*allow, JsonNode::Type::array)) {
    for (const Value& item : items(*allow)) {
      const auto name = text(item);
      if (!name) continue;
      if (!is_plugin_name(name->text)) problem(item, "a plugin's name is lower-case letters, digits and '_'");
      policy.allow.push_back(name->text);
    }
  }
  const auto digests = find(value, "sha256");
  if (!digests || !expect(*digests, JsonNode::Type::object)) return;
  for (const Value& item : items(*digests)) {
    if (!is_plugin_name(item.node->name))
      problem_at_name(item, "a plugin's name is lower-case letters, digits and '_'");
    const auto digest = text(item);
    if (!digest) continue;
    if (!is_sha256(digest->text)) problem(item, "expected the 64 lower-case hexadecimal digits that sha256sum prints");
    policy.sha256[item.node->name] = digest->text;
  }
}

void ConfigReader::read_transports(const Value& value, Config& config) {
  if (!expect(value, JsonNode::Type::object)) return;
  for (const Value& item : items(value)) {
    const std::string& scheme = item.node->name;
    const std::string_view canonical = grammar::canonical_scheme(scheme);
    if (!text::is_word(scheme, "+.-")) {
      problem_at_name(item, "a scheme is lower-case letters, digits, '+', '.' and '-', and starts with a letter");
    } else if (!canonical.empty() && canonical != scheme) {
      problem_at_name(item,
                      "options of '" + scheme + "' stand under its canonical scheme, '" + std::string(canonical) + "'");
    }
    config.transports[scheme] = settings(item, OptionSource::transport_config);
  }
}

void ConfigReader::read_links(const Value& value, Config& config) {
  if (!expect(value, JsonNode::Type::object)) return;
  for (const Value& item : items(value)) {
    if (!is_link_name(item.node->name)) {
      problem_at_name(item, "a link's name is a letter, then letters, digits, '_', '-' and '.', at most 64 in all");
    }
    LinkConfig& link = config.links[item.node->name];
    if (!open(item, link_shape)) continue;
    if (const auto list = find(item, "endpoints")) link.endpoints = endpoints(*list);
    link.connect_deadline_ns = number(item, link_shape, "connect_deadline");
    link.race = number(item, link_shape, "race") != 0;
    link.authkey = word(item, link_shape, "authkey");
    link.settings = core_settings(item);
  }
}

void ConfigReader::read_services(const Value& value, Config& config) {
  if (!expect(value, JsonNode::Type::array)) return;
  for (const Value& item : items(value)) {
    if (!open(item, service_shape)) continue;
    config.services.push_back(read_service(item, config));
    check_service(item, config.services.back());
    check_unique(item, config.services.back());
  }
}

ServiceConfig ConfigReader::read_service(const Value& value, const Config& config) {
  ServiceConfig service;
  service.location = locate(value);
  service.name = word(value, service_shape, "name");
  if (const auto listen = find(value, "listen")) service.listen = endpoints(*listen);
  const std::string kind = word(value, service_shape, "service");
  if (kind == "discard") service.kind = ServiceKind::discard;
  if (kind == "relay") service.kind = ServiceKind::relay;
  if (word(value, service_shape, "framing") == "messages") service.framing = Framing::messages;
  service.authkey = word(value, service_shape, "authkey");
  service.max_connections = static_cast<std::uint32_t>(number(value, service_shape, "max_connections"));
  service.settings = core_settings(value);
  if (const auto to = find(value, "to")) read_target(*to, config, service);
  return service;
}

/// A link's name (its endpoints are copied), descriptors, an endpoint object, or a list of descriptors and objects. A
/// link with a key is refused: the relay's clients, who know nothing of it, would be the ones to prove it.
void ConfigReader::read_target(const Value& value, const Config& config, ServiceConfig& service) {
  if (value.node->type == JsonNode::Type::array) {
    service.to = endpoints(value);
    return;
  }
  if (value.node->type != JsonNode::Type::string) {
    service.to = endpoint(value);
    return;
  }
  const Expansion name = expand_variables(value.node->text);
  if (!name.problem.empty() || !is_link_name(name.text)) {
    service.to = descriptors(value, true);
    return;
  }
  service.to_link = name.text;
  const auto link = config.links.find(name.text);
  if (link != config.links.end()) {
    service.to = link->second.endpoints;
    if (link->second.authkey.empty()) return;
    problem(value,
            "a relay passes bytes on and cannot use the link's \"authkey\"; name the endpoints here instead, and "
            "let the clients prove the key to them");
    return;
  }
  std::vector<std::string_view> names;
  for (const auto& known : config.links) names.emplace_back(known.first);
  problem(value, name.is_hidden ? "no link has that name"
                                : "no link is named '" + name.text + "'" + did_you_mean(name.text, names));
}

void ConfigReader::check_service(const Value& value, const ServiceConfig& service) {
  const auto to = find(value, "to");
  const auto kind = find(value, "service");
  const bool is_relay = service.kind == ServiceKind::relay;
  if (is_relay && !to) problem(value, "a relay needs 'to': a link's name or descriptors");
  if (!is_relay && to && kind && is_one_of(*kind, {"echo", "discard"})) {
    problem_at_name(*to, "only a relay has 'to'");
  }
  const auto authkey = find(value, "authkey");
  const auto framing = find(value, "framing");
  if (authkey && (!framing || is_one_of(*framing, {"bytes"}))) {
    problem_at_name(*authkey, "authkey needs \"framing\": \"messages\"");
  }
  for (const ConfiguredEndpoint& target : service.to) {
    for (const ConfiguredEndpoint& own : service.listen) {
      if (target.endpoint.scheme != own.endpoint.scheme || target.endpoint.address != own.endpoint.address) continue;
      problem(*to, "the relay would connect to itself: it listens there, at line " + std::to_string(own.location.line));
    }
  }
}

/// Whether a text, with its variables put in, is one of these; not when it is wrong in itself, which is said elsewhere.
bool ConfigReader::is_one_of(const Value& value, std::initializer_list<std::string_view> words) {
  const Expansion expansion = expand_variables(value.node->text);
  return expansion.problem.empty() && std::find(words.begin(), words.end(), expansion.text) != words.end();
}

/// Service names and the addresses that services listen on are used once each.
void ConfigReader::check_unique(const Value& value, const ServiceConfig& service) {
  if (const auto name = find(value, "name"); name && !service.name.empty()) {
    if (text::find_unprintable(service.name) != std::string::npos) problem(*name, "a name is printable text");
    const auto [first, is_new] = service_names_.emplace(service.name, locate(*name));
    if (!is_new) {
      problem(*name, "another service has this name, at line " + std::to_string(first->second.line));
    }
  }
  for (const ConfiguredEndpoint& configured : service.listen) {
    if (is_ephemeral(configured.endpoint)) continue;
    const std::string address = configured.endpoint.scheme + "://" + configured.endpoint.address;
    const auto [first, is_new] = listen_addresses_.emplace(address, configured.location);
    if (!is_new) {
      problems_.add(configured.location,
                    "a service already listens there: see line " + std::to_string(first->second.line));
    }
  }
}

}  // namespace ferry

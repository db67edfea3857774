#include <nlohmann/json.hpp>
#include <utility>

#include "ferry/probe.hpp"

namespace ferry {
namespace {

using nlohmann::ordered_json;

ordered_json names_of(std::uint64_t bits, std::initializer_list<std::pair<std::uint64_t, const char*>> names) {
  ordered_json list = ordered_json::array();
  for (const auto& [bit, name] : names) {
    if ((bits & bit) != 0) list.push_back(name);
  }
  return list;
}

ordered_json capabilities_json(std::uint64_t capabilities) {
  return names_of(capabilities, {{FERRY_CAP_STREAM, "stream"},
                                 {FERRY_CAP_RECORDS, "records"},
                                 {FERRY_CAP_HALF_CLOSE, "half_close"},
                                 {FERRY_CAP_RESET, "reset"},
                                 {FERRY_CAP_LOCAL, "local"},
                                 {FERRY_CAP_REMOTE, "remote"},
                                 {FERRY_CAP_LENDING, "lending"},
                                 {FERRY_CAP_CREDENTIALS, "credentials"},
                                 {FERRY_CAP_FD_PASSING, "fd_passing"},
                                 {FERRY_CAP_ENCRYPTED, "encrypted"},
                                 {FERRY_CAP_EPHEMERAL, "ephemeral"},
                                 {FERRY_CAP_STREAMS, "streams"},
                                 {FERRY_CAP_DATAGRAMS, "datagrams"},
                                 {FERRY_CAP_IDENTITY, "identity"}});
}

const char* type_name(ferry_option_type type) noexcept {
  switch (type) {
    case FERRY_OPTION_BOOL:
      return "bool";
    case FERRY_OPTION_INTEGER:
      return "integer";
    case FERRY_OPTION_SIZE:
      return "size";
    case FERRY_OPTION_DURATION:
      return "duration";
    case FERRY_OPTION_CHOICE:
      return "choice";
    case FERRY_OPTION_MODE:
      return "mode";
    default:
      return "text";
  }
}

ordered_json option_json(const ferry_option& row) {
  ordered_json json = {{"name", row.name}, {"type", type_name(row.type)}};
  json["default"] = row.default_text == nullptr ? ordered_json() : ordered_json(row.default_text);
  if (row.type == FERRY_OPTION_CHOICE) {
    for (const char* const* choice = row.choices; *choice != nullptr; ++choice) json["choices"].push_back(*choice);
  } else if (row.type != FERRY_OPTION_BOOL && row.type != FERRY_OPTION_TEXT) {
    json["minimum"] = format_option(row, {row.minimum, nullptr, 1, 1});
    json["maximum"] = format_option(row, {row.maximum, nullptr, 1, 1});
  }
  json["flags"] = names_of(row.flags, {{FERRY_OPTION_RELOADABLE, "reloadable"},
                                       {FERRY_OPTION_CONNECT, "connect"},
                                       {FERRY_OPTION_LISTEN, "listen"},
                                       {FERRY_OPTION_SECRET, "secret"},
                                       {FERRY_OPTION_NEEDED, "needed"}});
  json["help"] = row.help;
  return json;
}

}  // namespace

std::string plugin_json(const Plugin& plugin) {
  const ferry_plugin& abi = plugin.abi();
  ordered_json json = {{"name", abi.name},
                       {"version", abi.version},
                       {"description", abi.description},
                       {"licence", abi.licence},
                       {"path", plugin.path().string()},
                       {"abi", {{"major", abi.abi_major}, {"minor", abi.abi_minor}}},
                       {"schemes", ordered_json::array()},
                       {"capabilities", capabilities_json(abi.capabilities)},
                       {"options", ordered_json::array()}};
  for (const char* const* scheme = abi.schemes; *scheme != nullptr; ++scheme) json["schemes"].push_back(*scheme);
  const OptionTable options = plugin.options();
  for (std::uint32_t index = 0; index < options.size(); ++index) json["options"].push_back(option_json(options[index]));
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace ferry

#include "config_shape.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace ferry {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr const char* service_choices[] = {"echo", "discard", "relay", nullptr};
constexpr const char* framing_choices[] = {"bytes", "messages", nullptr};
constexpr const char* level_choices[] = {"trace", "debug", "info", "warning", "error", "off", nullptr};
constexpr const char* format_choices[] = {"text", "json", nullptr};

constexpr ConfigKey scalar(ferry_option_type type, const char* name, const char* default_text, std::int64_t minimum,
                           std::int64_t maximum, const char* help, const char* const* choices = nullptr,
                           bool is_required = false, std::uint32_t flags = 0) {
  return {name,
          KeyKind::scalar,
          is_required,
          help,
          {sizeof(ferry_option), type, flags, 0, name, default_text, minimum, maximum, choices, help},
          nullptr};
}
constexpr ConfigKey choice(const char* name, const char* default_text, const char* const* choices, const char* help,
                           bool is_required = false) {
  return scalar(FERRY_OPTION_CHOICE, name, default_text, 0, 0, help, choices, is_required);
}
constexpr ConfigKey keyed(std::string_view name, KeyKind kind, std::string_view help,
                          const ConfigShape* shape = nullptr, bool is_required = false) {
  return {name, kind, is_required, help, {}, shape};
}
constexpr ConfigKey authkey(const char* help) {
  return scalar(FERRY_OPTION_TEXT, "authkey", nullptr, 1, 4096, help, nullptr, false, FERRY_OPTION_SECRET);
}

constexpr std::array root_keys{
    keyed("$schema", KeyKind::ignored, "where the JSON Schema of this file is, for editors"),
    keyed("plugin_dirs", KeyKind::texts, "directories searched for plugins first, in order; relative to this file"),
    keyed("plugins", KeyKind::object, "which plugins may load", &plugins_shape),
    keyed("transports", KeyKind::schemes, "options of every endpoint of a scheme, by scheme"),
    keyed("links", KeyKind::named, "what host code connects to, by name", &link_shape),
    keyed("services", KeyKind::list, "what `ferry serve` runs", &service_shape),
    keyed("log", KeyKind::object, "what is logged and how", &log_shape)};

constexpr std::array plugins_keys{
    keyed("allow", KeyKind::texts, "names of the plugins that may load; absent or empty: all"),
    keyed("sha256", KeyKind::digests, "plugin name to SHA-256 of its file; another file does not load")};

constexpr std::array link_keys{
    keyed("endpoints", KeyKind::endpoints, "where to connect, in order of preference", nullptr, true),
    scalar(FERRY_OPTION_DURATION, "connect_deadline", "10s", 1'000'000, 86'400 * second_ns,
           "time to connect, for all endpoints together"),
    scalar(FERRY_OPTION_BOOL, "race", "false", 0, 1,
           "try the endpoints at staggered times and keep the first that connects"),
    authkey("shared secret that both ends prove to know, as in Python's multiprocessing.connection")};

constexpr std::array service_keys{
    scalar(FERRY_OPTION_TEXT, "name", nullptr, 1, 64, "unique name of the service, for logs", nullptr, true),
    keyed("listen", KeyKind::endpoints, "where clients connect", nullptr, true),
    choice("service", nullptr, service_choices,
           "echo sends everything back, discard reads and drops, relay carries bytes to and from `to`", true),
    choice("framing", "bytes", framing_choices, "bytes as they come, or messages with length prefix"),
    authkey("shared secret that clients must prove to know; needs framing messages"),
    keyed("to", KeyKind::target, "where a relay connects: a link's name or descriptors"),
    scalar(FERRY_OPTION_INTEGER, "max_connections", "10000", 1, std::numeric_limits<std::int32_t>::max(),
           "connections served at a time; clients beyond it are turned away")};

constexpr std::array log_keys{choice("level", "info", level_choices, "least severity that is logged"),
                              choice("format", "text", format_choices, "lines of text, or one JSON object per line")};

constexpr std::array endpoint_keys{
    keyed("descriptor", KeyKind::descriptor, "the endpoint's descriptor", nullptr, true),
    keyed("options", KeyKind::options, "options of this endpoint; the descriptor's own query wins over them")};

}  // namespace

const ConfigShape root_shape{"Ferry configuration", root_keys, false};
const ConfigShape plugins_shape{"Plugin policy", plugins_keys, false};
const ConfigShape link_shape{"Link", link_keys, true};
const ConfigShape service_shape{"Service", service_keys, true};
const ConfigShape log_shape{"Logging", log_keys, false};
const ConfigShape endpoint_shape{"Endpoint", endpoint_keys, false};

const ConfigKey* ConfigShape::find(std::string_view name) const noexcept {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const ConfigKey& key) { return key.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

}  // namespace ferry

#include "plugin_check.hpp"

#include <cstring>
#include <set>
#include <string_view>

#include "ferry/options.hpp"
#include "text.hpp"

namespace ferry {
namespace {

// What version 1.0 of the ABI had: a plugin built then stays good when later minor versions append members.
constexpr std::size_t plugin_bytes = offsetof(ferry_plugin, get_extension) + sizeof(ferry_plugin::get_extension);
constexpr std::size_t option_bytes = offsetof(ferry_option, help) + sizeof(ferry_option::help);
constexpr std::size_t transport_ops_bytes =
    offsetof(ferry_transport_ops, destroy) + sizeof(ferry_transport_ops::destroy);
constexpr std::size_t listener_ops_bytes =
    offsetof(ferry_listener_ops, get_extension) + sizeof(ferry_listener_ops::get_extension);
constexpr std::size_t connection_ops_bytes =
    offsetof(ferry_connection_ops, get_extension) + sizeof(ferry_connection_ops::get_extension);

std::string quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

// Plugin text is printed on terminals and put into JSON, so it must be there, bounded, and fit to be read.
std::string text_problem(const char* text, std::size_t limit, const std::string& what) {
  if (text == nullptr) return what + " is NULL";
  const std::size_t size = ::strnlen(text, limit + 1);
  if (size > limit) return what + " is longer than " + std::to_string(limit) + " bytes";
  if (text::find_unprintable({text, size}) == std::string::npos) return {};
  return what + " has a control character or malformed UTF-8";
}

std::string word_problem(const char* text, std::string_view more, const std::string& what, const char* syntax) {
  std::string problem = text_problem(text, max_plugin_word_bytes, what);
  if (problem.empty() && !text::is_word(text, more))
    problem = what + " is " + quoted(text) + "; it must match " + syntax;
  return problem;
}

template <class Pointer>
std::string missing(Pointer hook, const char* name) {
  return hook == nullptr ? std::string(name) + " is NULL, and it is required" : std::string();
}

template <class... Problems>
std::string first_of(Problems... problems) {
  std::string found;
  static_cast<void>(((found = std::move(problems), !found.empty()) || ...));
  return found;
}

std::string too_short(const char* what, std::size_t size, std::size_t needed) {
  if (size >= needed) return {};
  return std::string(what) + " has struct_size " + std::to_string(size) + ", and ABI 1.0 needs at least " +
         std::to_string(needed) + "; set it to sizeof";
}

// Version first: nothing else of a foreign layout means anything.
std::string layout_problem(const ferry_plugin& plugin, std::size_t symbol_size) {
  constexpr std::size_t head_bytes = offsetof(ferry_plugin, abi_minor);
  if (symbol_size < head_bytes) {
    return FERRY_PLUGIN_SYMBOL " is " + std::to_string(symbol_size) + " bytes, too few for a ferry_plugin";
  }
  if (plugin.abi_major != FERRY_ABI_MAJOR) {
    return "it is built for ABI major version " + std::to_string(plugin.abi_major) + ", this program speaks " +
           std::to_string(FERRY_ABI_MAJOR) + "; install a plugin built for that version";
  }
  if (plugin.struct_size > symbol_size) {
    return FERRY_PLUGIN_SYMBOL " has struct_size " + std::to_string(plugin.struct_size) + " but is only " +
           std::to_string(symbol_size) + " bytes";
  }
  return too_short(FERRY_PLUGIN_SYMBOL, plugin.struct_size, plugin_bytes);
}

std::string scheme_problem(const ferry_plugin& plugin) {
  if (plugin.schemes == nullptr || plugin.schemes[0] == nullptr)
    return "schemes is empty; a plugin serves at least one";
  std::set<std::string_view> seen;
  for (std::size_t index = 0; plugin.schemes[index] != nullptr; ++index) {
    if (index == max_plugin_schemes)
      return "schemes has more than " + std::to_string(max_plugin_schemes) + " entries or no NULL at its end";
    const char* scheme = plugin.schemes[index];
    const std::string problem =
        word_problem(scheme, "+.-", "schemes[" + std::to_string(index) + "]", "[a-z][a-z0-9+.-]*");
    if (!problem.empty()) return problem;
    if (!seen.insert(scheme).second) return "the scheme " + quoted(scheme) + " is listed twice";
  }
  return {};
}

std::string capability_problem(const ferry_plugin& plugin) {
  const bool stream = (plugin.capabilities & FERRY_CAP_STREAM) != 0;
  const bool records = (plugin.capabilities & FERRY_CAP_RECORDS) != 0;
  if (stream == records)
    return std::string("capabilities has ") + (stream ? "both" : "neither") +
           " of FERRY_CAP_STREAM and FERRY_CAP_RECORDS; exactly one is true";
  if ((plugin.capabilities & (FERRY_CAP_LOCAL | FERRY_CAP_REMOTE)) == 0) {
    return "capabilities has neither FERRY_CAP_LOCAL nor FERRY_CAP_REMOTE";
  }
  if ((plugin.capabilities & FERRY_CAP_EPHEMERAL) == 0) return {};
  return text_problem(plugin.ephemeral_address, max_plugin_text_bytes,
                      "ephemeral_address, which FERRY_CAP_EPHEMERAL promises,");
}

std::string choices_problem(const ferry_option& row, const std::string& what) {
  if (row.type != FERRY_OPTION_CHOICE) return {};
  if (row.choices == nullptr || row.choices[0] == nullptr) return what + " is a choice of nothing";
  for (std::size_t index = 0; row.choices[index] != nullptr; ++index) {
    if (index == max_plugin_options) return what + " has choices without a NULL at their end";
    const std::string problem = text_problem(row.choices[index], max_plugin_word_bytes, what + ": a choice");
    if (!problem.empty()) return problem;
  }
  return {};
}

std::string default_problem(const ferry_option& row, const std::string& what) {
  if (row.default_text == nullptr) return {};
  const std::string problem = text_problem(row.default_text, max_plugin_text_bytes, what + ": the default");
  if (!problem.empty()) return problem;
  ferry_value value{};
  std::string parse_problem;
  if (parse_option(row, row.default_text, value, parse_problem)) return {};
  return what + " has a bad default: " + parse_problem;
}

std::string row_problem(const ferry_option& row, std::uint32_t index, std::uint32_t stride) {
  std::string what = "options[" + std::to_string(index) + "]";
  std::string problem = too_short(what.c_str(), row.struct_size, option_bytes);
  if (!problem.empty()) return problem;
  if (row.struct_size > stride) return what + " has a struct_size above option_stride";
  problem = word_problem(row.name, "_", what + ".name", "[a-z][a-z0-9_]*");
  if (!problem.empty()) return problem;
  what = "the option " + quoted(row.name);
  if (row.type < FERRY_OPTION_BOOL || row.type > FERRY_OPTION_MODE) {
    return what + " has the unknown type " + std::to_string(row.type);
  }
  if (row.minimum > row.maximum) return what + " has a minimum above its maximum";
  problem = first_of(text_problem(row.help, max_plugin_text_bytes, what + ": help"), choices_problem(row, what));
  return problem.empty() ? default_problem(row, what) : problem;
}

std::string options_problem(const ferry_plugin& plugin) {
  if (plugin.option_count == 0) return {};
  if (plugin.option_count > max_plugin_options)
    return "option_count is " + std::to_string(plugin.option_count) + ", above the limit of " +
           std::to_string(max_plugin_options);
  if (plugin.options == nullptr) return "options is NULL, but option_count is " + std::to_string(plugin.option_count);
  if (plugin.option_stride < option_bytes)
    return "option_stride is " + std::to_string(plugin.option_stride) + "; set it to sizeof(ferry_option)";
  if (plugin.option_stride % alignof(ferry_option) != 0) return "option_stride breaks the rows' alignment";
  const OptionTable table(plugin.options, plugin.option_count, plugin.option_stride);
  std::set<std::string_view> seen;
  for (std::uint32_t index = 0; index < table.size(); ++index) {
    const std::string problem = row_problem(table[index], index, plugin.option_stride);
    if (!problem.empty()) return problem;
    if (!seen.insert(table[index].name).second) return "the option " + quoted(table[index].name) + " is listed twice";
  }
  return {};
}

// The head that ferry_transport, ferry_listener and ferry_connection share.
template <class Object>
std::string head_problem(const Object* object, const char* what, std::size_t ops_bytes) {
  if (object == nullptr) return std::string("it returned FERRY_OK and no ") + what;
  const std::string problem = too_short(what, object->struct_size, offsetof(Object, ops) + sizeof(object->ops));
  if (!problem.empty()) return problem;
  if (object->ops == nullptr) return std::string(what) + "->ops is NULL";
  return too_short((std::string(what) + "->ops").c_str(), object->ops->struct_size, ops_bytes);
}

}  // namespace

std::string problem_of(const ferry_plugin& plugin, std::size_t symbol_size) {
  std::string problem = layout_problem(plugin, symbol_size);
  if (!problem.empty()) return problem;
  return first_of(word_problem(plugin.name, "_", "name", "[a-z][a-z0-9_]*"),
                  text_problem(plugin.version, max_plugin_word_bytes, "version"),
                  text_problem(plugin.description, max_plugin_text_bytes, "description"),
                  text_problem(plugin.licence, max_plugin_text_bytes, "licence"), scheme_problem(plugin),
                  capability_problem(plugin), missing(plugin.check_address, "check_address"),
                  missing(plugin.create, "create"), options_problem(plugin));
}

std::string problem_of(const ferry_transport* transport) {
  std::string problem = head_problem(transport, "transport", transport_ops_bytes);
  if (!problem.empty()) return problem;
  const ferry_transport_ops& ops = *transport->ops;
  return first_of(missing(ops.connect, "transport->ops->connect"), missing(ops.listen, "transport->ops->listen"),
                  missing(ops.destroy, "transport->ops->destroy"));
}

std::string problem_of(const ferry_listener* listener) {
  std::string problem = head_problem(listener, "listener", listener_ops_bytes);
  if (!problem.empty()) return problem;
  const ferry_listener_ops& ops = *listener->ops;
  return first_of(missing(ops.accept, "listener->ops->accept"), missing(ops.arm, "listener->ops->arm"),
                  missing(ops.pollable, "listener->ops->pollable"), missing(ops.interrupt, "listener->ops->interrupt"),
                  missing(ops.local_address, "listener->ops->local_address"),
                  missing(ops.close, "listener->ops->close"));
}

std::string problem_of(const ferry_connection* connection, std::uint64_t capabilities) {
  std::string problem = head_problem(connection, "connection", connection_ops_bytes);
  if (!problem.empty()) return problem;
  const ferry_connection_ops& ops = *connection->ops;
  if ((capabilities & FERRY_CAP_HALF_CLOSE) != 0) {
    problem = missing(ops.shutdown_write, "connection->ops->shutdown_write");
    if (!problem.empty()) return problem + " with FERRY_CAP_HALF_CLOSE";
  }
  return first_of(missing(ops.read, "connection->ops->read"), missing(ops.write, "connection->ops->write"),
                  missing(ops.arm, "connection->ops->arm"), missing(ops.pollable, "connection->ops->pollable"),
                  missing(ops.interrupt, "connection->ops->interrupt"), missing(ops.finish, "connection->ops->finish"),
                  missing(ops.close, "connection->ops->close"), missing(ops.abort, "connection->ops->abort"),
                  missing(ops.info, "connection->ops->info"));
}

}  // namespace ferry

// What the ABI asks of structs, tables and texts, before any byte flows.
#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <memory>
#include <set>
#include <string>

#include "flow.hpp"
#include "suite.hpp"

namespace ferry::conformance {
namespace {

constexpr std::uint8_t guard_byte = 0xA5;

/// A struct of the ABI in a block that ends with guard bytes, announced as only `size` bytes long.
template <class Struct>
class Guarded {
 public:
  explicit Guarded(std::uint32_t size) : size_(size) {
    std::memset(bytes_.data(), guard_byte, bytes_.size());
    std::memset(bytes_.data(), 0, size);
    get()->struct_size = size;
  }
  Struct* get() noexcept { return reinterpret_cast<Struct*>(bytes_.data()); }
  void expect_untouched(std::string_view call) const {
    for (std::size_t i = size_; i < bytes_.size(); ++i) {
      require(bytes_[i] == guard_byte, call, " wrote at byte ", i, " of a struct that is ", size_, " bytes long");
    }
  }

 private:
  std::uint32_t size_;
  alignas(Struct) std::array<std::uint8_t, sizeof(Struct) + 64> bytes_;
};

bool is_name(std::string_view text, std::string_view more) {
  return !text.empty() && std::islower(static_cast<unsigned char>(text.front())) != 0 &&
         std::all_of(text.begin(), text.end(), [more](unsigned char c) {
           return std::islower(c) != 0 || std::isdigit(c) != 0 || more.find(static_cast<char>(c)) != more.npos;
         });
}

void describes_itself(Context& context) {
  const ferry_plugin& plugin = context.plugin();
  require(plugin.abi_major == FERRY_ABI_MAJOR, "abi_major is ", plugin.abi_major);
  for (const char* text : {plugin.name, plugin.version, plugin.description, plugin.licence})
    require(text != nullptr && *text != '\0', "name, version, description and licence must all say something");
  require(is_name(plugin.name, "_"), "the name '", plugin.name, "' is not [a-z][a-z0-9_]*");
  require(plugin.schemes != nullptr && plugin.schemes[0] != nullptr, "the plugin serves no scheme");
  for (const char* const* scheme = plugin.schemes; *scheme != nullptr; ++scheme)
    require(is_name(*scheme, "+.-"), "the scheme '", *scheme, "' is not [a-z][a-z0-9+.-]*");
  require((plugin.capabilities & (FERRY_CAP_STREAM | FERRY_CAP_RECORDS)) != 0, "neither streams nor records");
  require((plugin.capabilities & (FERRY_CAP_LOCAL | FERRY_CAP_REMOTE)) != 0, "neither local nor remote");
  require(!context.has(FERRY_CAP_EPHEMERAL) || plugin.ephemeral_address != nullptr,
          "FERRY_CAP_EPHEMERAL is set and ephemeral_address is NULL");
}

void option_table_is_sound(Context& context) {
  const OptionTable table = table_of(context.plugin());
  std::set<std::string> names;
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    const ferry_option& row = table[i];
    require(row.name != nullptr && is_name(row.name, "_"), "row ", i, " has no name of the form [a-z][a-z0-9_]*");
    require(names.insert(row.name).second, "two rows are named ", row.name);
    require(row.help != nullptr && *row.help != '\0', row.name, " has no help");
    require(row.type >= FERRY_OPTION_BOOL && row.type <= FERRY_OPTION_MODE, row.name, " has an unknown type");
    require(row.minimum <= row.maximum, row.name, "'s minimum is above its maximum");
    require(row.type != FERRY_OPTION_CHOICE || (row.choices != nullptr && row.choices[0] != nullptr), row.name,
            " is a choice of nothing");
    require((row.flags & (FERRY_OPTION_CONNECT | FERRY_OPTION_LISTEN)) != 0, row.name,
            " has an effect neither on connect nor on listen");
    require((row.flags & FERRY_OPTION_NEEDED) == 0 ||
                ((row.flags & FERRY_OPTION_LISTEN) != 0 && row.default_text == nullptr),
            row.name, " is needed to listen, where it has no effect or a default");
    if (row.default_text == nullptr) continue;
    ferry_value value{};
    std::string problem;
    require(parse_option(row, row.default_text, value, problem), row.name, "'s default: ", problem);
  }
}

void connection_kind_matches_capabilities(Context& context) {
  const Pair pair = context.pair();
  for (const Connection* end : {&pair.client, &pair.server}) {
    const ferry_connection_info& info = end->info();
    require(context.has(end->is_records() ? FERRY_CAP_RECORDS : FERRY_CAP_STREAM),
            "a connection is of a kind that the capabilities do not name");
    require(info.kind == FERRY_STREAM || info.kind == FERRY_RECORDS, "kind is ", info.kind);
    require(end->is_records() == (info.max_record > 0), "max_record is ", info.max_record);
    require(info.frame_alignment == 1 || info.frame_alignment == 8, "frame_alignment is ", info.frame_alignment);
    require(context.has(FERRY_CAP_LENDING) == (info.max_view > 0), "max_view is ", info.max_view);
    for (const char* text : {info.local_address, info.peer_address})
      require(::strnlen(text, FERRY_ADDRESS_SIZE) < FERRY_ADDRESS_SIZE, "an address in info has no end");
  }
}

/// An address that no plugin can take: longer than any system's limit.
std::string impossible_address() { return std::string(std::size_t{64} * 1024, 'a'); }

void failures_say_why(Context& context) {
  const std::string bad = impossible_address();
  Error error;
  text_of(error, check_address(context.plugin(), bad, &error), "check_address");
  Connection connection;
  error = Error();
  text_of(error, context.transport().connect(bad, in(second), connection, &error), "connect");
  Listener listener;
  error = Error();
  text_of(error, context.transport().listen(bad, listener, &error), "listen");
}

void failures_need_no_error(Context& context) {
  const std::string bad = impossible_address();
  require(check_address(context.plugin(), bad, nullptr) != FERRY_OK, "check_address took an impossible address");
  Connection connection;
  require(context.transport().connect(bad, in(second), connection) != FERRY_OK, "connect took an impossible address");
  Listener listener;
  require(context.transport().listen(bad, listener) != FERRY_OK, "listen took an impossible address");
  listener = context.listen();
  expect(listener.accept(FERRY_NO_WAIT, connection), {FERRY_WOULD_BLOCK}, "accept without a client and error");
}

void failures_leave_results_alone(Context& context) {
  const std::string bad = impossible_address();
  ferry_transport* const transport = context.transport().get();
  ferry_values values = context.transport().options().abi();
  ferry_connection* const no_connection = reinterpret_cast<ferry_connection*>(&values);  // anything but NULL
  ferry_listener* const no_listener = reinterpret_cast<ferry_listener*>(no_connection);
  ferry_connection* connection = no_connection;
  ferry_listener* listener = no_listener;
  {
    const CallMark mark(Call::connect);
    require(transport->ops->connect(transport, bad.c_str(), &values, in(second), nullptr, &connection, nullptr) < 0,
            "connect took an impossible address");
  }
  require(connection == no_connection, "a failed connect wrote its result");
  {
    const CallMark mark(Call::listen);
    require(transport->ops->listen(transport, bad.c_str(), &values, &listener, nullptr) < 0,
            "listen took an impossible address");
  }
  require(listener == no_listener, "a failed listen wrote its result");
  Listener real = context.listen();
  const CallMark mark(Call::accept);
  expect(real.get()->ops->accept(real.get(), FERRY_NO_WAIT, &connection, nullptr), {FERRY_WOULD_BLOCK}, "accept");
  require(connection == no_connection, "an accept without a client wrote its result");
}

void short_errors_are_not_overrun(Context& context) {
  for (const std::uint32_t size : {std::uint32_t{sizeof(ferry_error)}, std::uint32_t{48}, std::uint32_t{20}}) {
    Guarded<ferry_error> error(size);
    expect(check_address(context.plugin(), impossible_address(), error.get()), {FERRY_INVALID}, "check_address");
    error.expect_untouched("check_address");
    Connection connection;
    static_cast<void>(context.transport().connect(impossible_address(), in(second), connection, error.get()));
    error.expect_untouched("connect");
    Listener listener;
    static_cast<void>(context.transport().listen(impossible_address(), listener, error.get()));
    error.expect_untouched("listen");
  }
}

void short_info_is_not_overrun(Context& context) {
  const Pair pair = context.pair();
  for (const std::uint32_t size :
       {std::uint32_t{sizeof(ferry_connection_info)}, std::uint32_t{200}, std::uint32_t{8}}) {
    Guarded<ferry_connection_info> info(size);
    const CallMark mark(Call::info);
    expect(pair.client.get()->ops->info(pair.client.get(), info.get()), {FERRY_OK}, "info");
    info.expect_untouched("info");
    require(info.get()->struct_size == size, "info changed struct_size, which is the caller's");
    require(info.get()->kind == pair.client.info().kind, "info does not fill the members that a short struct has");
  }
}

void unknown_extensions_are_null(Context& context) {
  const ferry_plugin& plugin = context.plugin();
  Pair pair = context.pair();
  for (const char* id : {"", "ferry.nothing/1", "ferry.lend/4294967295"}) {
    if (FERRY_HAS(&plugin, ferry_plugin, get_extension)) {
      const CallMark mark(Call::plugin_get_extension);
      require(plugin.get_extension(id) == nullptr, "the plugin has an extension '", id, "'");
    }
    require(pair.client.extension(id) == nullptr, "a connection has an extension '", id, "'");
    const ferry_listener* listener = pair.listener.get();
    if (FERRY_HAS(listener->ops, ferry_listener_ops, get_extension)) {
      const CallMark mark(Call::listener_get_extension);
      require(listener->ops->get_extension(pair.listener.get(), id) == nullptr, "a listener has an extension '", id,
              "'");
    }
  }
}

void extensions_match_capabilities(Context& context) {
  Pair pair = context.pair();
  const std::pair<std::uint64_t, const char*> promised[] = {{FERRY_CAP_LENDING, FERRY_EXT_LEND},
                                                            {FERRY_CAP_CREDENTIALS, FERRY_EXT_PEER},
                                                            {FERRY_CAP_FD_PASSING, FERRY_EXT_FDS}};
  for (const auto& [capability, id] : promised) {
    require(context.has(capability) == (pair.client.extension(id) != nullptr), "the capability and the extension ", id,
            " do not go together");
  }
}

void transports_are_independent(Context& context) {
  auto first = std::make_unique<Transport>(context.plugin(), context.host());
  Pair pair = context.pair();
  { const Transport second(context.plugin(), context.host()); }
  first.reset();
  send_flow(pair.client, 1000);
  expect_flow(pair.server, 1000);
}

}  // namespace

std::span<const Test> contract_tests() {
  static constexpr Test tests[] = {
      {"contract.describes_itself", "name, version, licence, schemes and capabilities are sound", 0, describes_itself},
      {"contract.option_table", "rows are named once, described, and their defaults parse", 0, option_table_is_sound},
      {"contract.connection_kind", "info agrees with the capabilities", 0, connection_kind_matches_capabilities},
      {"contract.failures_say_why", "failed cold calls fill status and message", 0, failures_say_why},
      {"contract.null_error", "cold calls take a NULL error", 0, failures_need_no_error},
      {"contract.results", "failed calls leave their result alone", FERRY_CAP_EPHEMERAL, failures_leave_results_alone},
      {"contract.short_error", "an older caller's ferry_error is not overrun", 0, short_errors_are_not_overrun},
      {"contract.short_info", "an older caller's ferry_connection_info is not overrun", 0, short_info_is_not_overrun},
      {"contract.unknown_extension", "an unknown extension is NULL", 0, unknown_extensions_are_null},
      {"contract.extensions", "capabilities and extensions go together", 0, extensions_match_capabilities},
      {"contract.transports", "transports of one plugin do not disturb each other", 0, transports_are_independent},
  };
  return tests;
}

}  // namespace ferry::conformance

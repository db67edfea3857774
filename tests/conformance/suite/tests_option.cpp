// Options: what is asked for is in force, or the plugin says what is.
#include <algorithm>
#include <array>
#include <cstring>
#include <future>

#include "flow.hpp"
#include "suite.hpp"

namespace ferry::conformance {
namespace {

using Values = std::vector<ferry_value>;

/// What `effective` of a connection says; empty when there is no such call.
Values effective_of(const Connection& connection, std::uint32_t count) {
  if (!FERRY_HAS(connection.get()->ops, ferry_connection_ops, effective)) return {};
  Values values(count);
  const CallMark mark(Call::effective);
  expect(connection.get()->ops->effective(connection.get(), values.data(), count), {FERRY_OK}, "effective");
  return values;
}

void effective_stays_within_count(Context& context) {
  const OptionTable table = table_of(context.plugin());
  const Pair pair = context.pair();
  for (std::uint32_t count = 0; count <= table.size(); ++count) {
    Values values(table.size() + 1, ferry_value{0x5a5a, nullptr, 0x5a, 0x5a});
    for (std::uint32_t i = 0; i < count; ++i) values[i] = {};
    if (FERRY_HAS(pair.client.get()->ops, ferry_connection_ops, effective)) {
      const CallMark mark(Call::effective);
      expect(pair.client.get()->ops->effective(pair.client.get(), values.data(), count), {FERRY_OK}, "effective");
    }
    if (FERRY_HAS(pair.listener.get()->ops, ferry_listener_ops, effective)) {
      const CallMark mark(Call::listener_effective);
      expect(pair.listener.get()->ops->effective(pair.listener.get(), values.data(), count), {FERRY_OK},
             "effective of a listener");
    }
    if (FERRY_HAS(context.transport().get()->ops, ferry_transport_ops, effective)) {
      const ferry_values asked = context.transport().options().abi();
      const CallMark mark(Call::transport_effective);
      expect(
          context.transport().get()->ops->effective(context.transport().get(), &asked, values.data(), count, nullptr),
          {FERRY_OK}, "effective of a transport");
    }
    for (std::uint32_t i = count; i < values.size(); ++i)
      require(values[i].integer == 0x5a5a && values[i].is_set == 0x5a, "effective wrote value ", i, " of ", count);
  }
}

bool is_one_of(const char* text, const char* const* choices) {
  for (; *choices != nullptr; ++choices) {
    if (std::strcmp(text, *choices) == 0) return true;
  }
  return false;
}

void effective_values_are_sound(Context& context) {
  const OptionTable table = table_of(context.plugin());
  const Pair pair = context.pair();
  for (const Connection* end : {&pair.client, &pair.server}) {
    const Values values = effective_of(*end, table.size());
    for (std::uint32_t i = 0; i < values.size(); ++i) {
      if (values[i].is_set == 0) continue;
      const ferry_option& row = table[i];
      const bool is_text = row.type == FERRY_OPTION_TEXT || row.type == FERRY_OPTION_CHOICE;
      require(!is_text || values[i].text != nullptr, row.name, " is in force without a text");
      require(is_text || row.type != FERRY_OPTION_BOOL || (values[i].integer & ~std::int64_t{1}) == 0, row.name, " is ",
              values[i].integer);
      require(is_text || values[i].integer >= 0, row.name, " is ", values[i].integer);
      require(row.type != FERRY_OPTION_CHOICE || row.choices == nullptr || is_one_of(values[i].text, row.choices),
              row.name, " is no choice of its own table");
    }
  }
}

/// Connects with `transport`'s options, the listener being served meanwhile: some connects end only when it accepts.
ferry_status connect_with(Transport& transport, Listener& listener, Connection& client, ferry_error* error = nullptr) {
  auto accepting = std::async(std::launch::async, [&] {
    Connection server;
    static_cast<void>(listener.accept(in(5 * second), server));
    return server;
  });
  const ferry_status status = transport.connect(listener.local_address(), in(5 * second), client, error);
  if (status != FERRY_OK) listener.interrupt();
  return status;
}

/// Whether the transport says that this system would grant the option of its own options; true when it does not say.
bool would_grant(Transport& transport, std::uint32_t index) {
  const ferry_transport_ops* ops = transport.get()->ops;
  if (!FERRY_HAS(ops, ferry_transport_ops, effective)) return true;
  Values values(index + 1);
  const ferry_values asked = transport.options().abi();
  const CallMark mark(Call::transport_effective);
  expect(ops->effective(transport.get(), &asked, values.data(), index + 1, nullptr), {FERRY_OK},
         "effective of a transport");
  return values[index].is_set == 0 || (values[index].integer != 0) == (transport.options()[index].integer != 0);
}

/// Sets each switch both ways, at both ends. A system may refuse one (a privilege, an absent feature); then it must say
/// so, by a failure with a reason or in what it would grant.
void switches_take_effect(Context& context) {
  const OptionTable table = table_of(context.plugin());
  int tried = 0;
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    const ferry_option& row = table[i];
    if (row.type != FERRY_OPTION_BOOL || (row.flags & FERRY_OPTION_CONNECT) == 0) continue;
    for (const char* value : {"true", "false"}) {
      Transport transport(context.plugin(), context.host());
      require(transport.set_option(row.name, value), row.name, " does not take ", value);
      Listener listener;
      Error error;
      if (const ferry_status status = transport.listen(context.fresh_address(), listener, &error); status != FERRY_OK) {
        text_of(error, status, "listen");
        continue;
      }
      Connection connection;
      const ferry_status status = connect_with(transport, listener, connection, &error);
      if (status != FERRY_OK) {
        text_of(error, status, "connect");
        continue;
      }
      const Values values = effective_of(connection, table.size());
      if (values.empty() || values[i].is_set == 0) continue;
      ++tried;
      require((values[i].integer != 0) == (*value == 't') || !would_grant(transport, i), row.name, "=", value,
              " was asked for and is not in force");
    }
  }
  if (tried == 0) skip("no switch can be read back");
}

void buffer_sizes_are_reported(Context& context) {
  const OptionTable table = table_of(context.plugin());
  int tried = 0;
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    const ferry_option& row = table[i];
    if (row.type != FERRY_OPTION_SIZE || (row.flags & FERRY_OPTION_CONNECT) == 0) continue;
    std::array<std::int64_t, 2> granted{};
    const std::int64_t least = std::max<std::int64_t>(row.minimum, 16384);
    for (std::size_t n = 0; n < granted.size(); ++n) {
      const std::int64_t asked = std::min<std::int64_t>(n == 0 ? least : least * 4, row.maximum);
      Transport transport(context.plugin(), context.host());
      if (!transport.set_option(row.name, concat(asked, "B"))) continue;
      Listener listener = context.listen();
      Connection connection;
      if (connect_with(transport, listener, connection) != FERRY_OK) continue;
      const Values values = effective_of(connection, table.size());
      if (!values.empty() && values[i].is_set != 0) granted[n] = values[i].integer;
    }
    if (granted[0] == 0 || granted[1] == 0 || row.maximum <= least) continue;
    ++tried;
    require(granted[0] < granted[1], row.name, " is ", granted[0], " for the smaller and ", granted[1],
            " for the larger size asked for");
  }
  if (tried == 0) skip("no size can be read back");
}

void listeners_reload(Context& context) {
  Pair pair = context.pair();
  const ferry_listener* listener = pair.listener.get();
  if (!FERRY_HAS(listener->ops, ferry_listener_ops, reconfigure)) skip("nothing can be reloaded");
  const ferry_values values = context.transport().options().abi();
  Error error;
  {
    const CallMark mark(Call::reconfigure);
    const ferry_status status = listener->ops->reconfigure(pair.listener.get(), &values, &error);
    require(status == FERRY_OK, "reconfigure with the values in force returned ", result_text(status), ": ",
            error.message);
  }
  Connection client;
  Connection server;
  context.connect_to(pair.listener, client, server);
  send_flow(pair.client, 10);
  expect_flow(pair.server, 10);
}

}  // namespace

std::span<const Test> option_tests() {
  static constexpr Test tests[] = {
      {"option.count", "effective writes no more values than it may", FERRY_CAP_EPHEMERAL,
       effective_stays_within_count},
      {"option.sound", "values in force are of their row's type", FERRY_CAP_EPHEMERAL, effective_values_are_sound},
      {"option.switches", "switches are in force as asked for", FERRY_CAP_EPHEMERAL, switches_take_effect},
      {"option.sizes", "a larger size asked for is a larger size in force", FERRY_CAP_EPHEMERAL,
       buffer_sizes_are_reported},
      {"option.reload", "a listener takes its options anew and goes on", FERRY_CAP_EPHEMERAL, listeners_reload},
  };
  return tests;
}

}  // namespace ferry::conformance

// Addresses: what check_address takes, what listen makes of them, and who answers there.
#include <filesystem>
#include <set>

#include "flow.hpp"
#include "suite.hpp"
#include "usage.hpp"

namespace ferry::conformance {
namespace {

void good_addresses_are_taken(Context& context) {
  Error error;
  const std::string fresh = context.fresh_address();
  require(check_address(context.plugin(), fresh, &error) == FERRY_OK, "check_address refuses ", fresh, ": ",
          error.message);
  Listener listener = context.listen();
  const std::string dialable = listener.local_address();
  require(check_address(context.plugin(), dialable, &error) == FERRY_OK, "check_address refuses the local address ",
          dialable, ": ", error.message);
}

void bad_addresses_are_refused(Context& context) {
  const std::string bad[] = {"", std::string(std::size_t{64} * 1024, 'a'), std::string(std::size_t{1024} * 1024, '/')};
  for (const std::string& address : bad) {
    Error error;
    expect(check_address(context.plugin(), address, &error), {FERRY_INVALID},
           concat("check_address of ", address.size(), " bytes of nonsense"));
    text_of(error, FERRY_INVALID, "check_address");
    Listener listener;
    require(context.transport().listen(address, listener) != FERRY_OK, "listen took what check_address refused");
    Connection connection;
    require(context.transport().connect(address, in(second), connection) != FERRY_OK,
            "connect took what check_address refused");
  }
}

void local_address_is_dialable(Context& context) {
  Pair pair = context.pair();
  send_flow(pair.client, 100);
  expect_flow(pair.server, 100);
  send_flow(pair.server, 100);
  expect_flow(pair.client, 100);
}

void local_address_fits_or_says_so(Context& context) {
  const Listener listener = context.listen();
  const auto ask = [&](char* text, std::uint32_t size) {
    const CallMark mark(Call::local_address);
    return listener.get()->ops->local_address(listener.get(), text, size);
  };
  std::string text(FERRY_ADDRESS_SIZE, 'x');
  const std::uint32_t needed = ask(text.data(), FERRY_ADDRESS_SIZE);
  std::string exact(needed + 8, 'x');
  require(ask(exact.data(), needed) == needed, "local_address changes its mind about its length");
  require(exact[needed - 1] == '\0' && exact[needed] == 'x', "local_address does not fit in what it asked for");
  std::string shorter(needed + 8, 'x');
  require(ask(shorter.data(), needed - 1) == needed, "local_address of a short buffer must say what it needs");
  require(shorter.find_first_not_of('x') >= needed - 1, "local_address wrote beyond the buffer");
  require(ask(nullptr, 0) == needed, "local_address of no buffer must say what it needs");
}

void ephemeral_addresses_differ(Context& context) {
  std::set<std::string> addresses;
  std::vector<Listener> listeners;
  for (int i = 0; i < 8; ++i) {
    listeners.push_back(context.listen());
    const std::string address = listeners.back().local_address();
    require(addresses.insert(address).second, "two listeners say that they are at ", address);
  }
  for (Listener& listener : listeners) {
    Connection client;
    Connection server;
    context.connect_to(listener, client, server);
    send_flow(client, 10);
    expect_flow(server, 10);
  }
}

void address_in_use_is_refused(Context& context) {
  Listener first = context.listen();
  const std::string address = first.local_address();
  Listener second;
  Error error;
  const ferry_status status = context.transport().listen(address, second, &error);
  if (is_wine() && status == FERRY_OK && context.has(FERRY_CAP_LOCAL)) {
    skip("Wine 8 lets a second server of a pipe start: unverified on Windows");
  }
  expect(status, {FERRY_ADDRESS_IN_USE}, "listen where somebody listens");
  text_of(error, status, "listen");
  Connection client;
  Connection server;
  context.connect_to(first, client, server);
}

void nobody_there_is_refused(Context& context) {
  Listener listener = context.listen();
  const std::string address = listener.local_address();
  listener.close();
  Connection connection;
  Error error;
  const std::int64_t start = now_ns();
  const ferry_status status = context.transport().connect(address, soon(), connection, &error);
  expect(status, {FERRY_REFUSED, FERRY_NOT_FOUND}, "connect where nobody listens any more");
  text_of(error, status, "connect");
  require(!context.has(FERRY_CAP_LOCAL) || now_ns() - start < 2 * second, "the refusal took seconds");
}

void closed_address_can_be_reused(Context& context) {
  // Somebody else on this machine may take a closed port in between, so a few addresses are tried.
  ferry_status status = FERRY_OK;
  Error error;
  for (int round = 0; round < 5; ++round) {
    Pair pair = context.pair();
    const std::string address = pair.listener.local_address();
    pair.listener.close();
    Listener again;
    status = context.transport().listen(address, again, &error);
    if (status != FERRY_OK) continue;
    require(again.local_address() == address, "listening again at ", address, " is now at ", again.local_address());
    Connection client;
    Connection server;
    context.connect_to(again, client, server);
    send_flow(pair.client, 10);
    expect_flow(pair.server, 10);
    return;
  }
  fail(concat("listen at an address just closed returned ", result_text(status), ": ", error.message));
}

void closing_leaves_nothing_behind(Context& context) {
  const auto entries = [&] {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(context.directory()))
      names.insert(entry.path().string());
    return names;
  };
  const auto before = entries();
  { const Pair pair = context.pair(); }
  for (const std::string& name : entries()) require(before.contains(name), "closing the listener left ", name);
}

}  // namespace

std::span<const Test> address_tests() {
  static constexpr Test tests[] = {
      {"address.good", "check_address takes ephemeral and local addresses", FERRY_CAP_EPHEMERAL,
       good_addresses_are_taken},
      {"address.bad", "nonsense is FERRY_INVALID and neither listened at nor dialled", 0, bad_addresses_are_refused},
      {"address.dialable", "local_address can be connected to", FERRY_CAP_EPHEMERAL, local_address_is_dialable},
      {"address.local_address_size", "local_address never overruns and says what it needs", FERRY_CAP_EPHEMERAL,
       local_address_fits_or_says_so},
      {"address.ephemeral", "each ephemeral listener is at an address of its own", FERRY_CAP_EPHEMERAL,
       ephemeral_addresses_differ},
      {"address.in_use", "a second listener at one address is refused", FERRY_CAP_EPHEMERAL, address_in_use_is_refused},
      {"address.refused", "connecting where nobody listens fails at once, with a reason", FERRY_CAP_EPHEMERAL,
       nobody_there_is_refused},
      {"address.reuse", "an address can be listened at again after close", FERRY_CAP_EPHEMERAL,
       closed_address_can_be_reused},
      {"address.clean", "closing a listener leaves no file behind", FERRY_CAP_EPHEMERAL, closing_leaves_nothing_behind},
  };
  return tests;
}

}  // namespace ferry::conformance

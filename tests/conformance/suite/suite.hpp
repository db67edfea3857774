// The tests, by theme. Each is chosen by the plugin's capabilities and knows no transport.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "context.hpp"

namespace ferry::conformance {

struct Test {
  const char* name;     ///< theme.behaviour
  const char* summary;  ///< one line of what must hold
  std::uint64_t needs;  ///< capabilities without which the test has no meaning; 0: all transports
  void (*run)(Context& context);
  int limit_s = 20;
};

std::span<const Test> contract_tests();
std::span<const Test> address_tests();
std::span<const Test> accept_tests();
std::span<const Test> transfer_tests();
std::span<const Test> ending_tests();
std::span<const Test> record_tests();
std::span<const Test> readiness_tests();
std::span<const Test> deadline_tests();
std::span<const Test> interrupt_tests();
std::span<const Test> process_tests();
std::span<const Test> resource_tests();
std::span<const Test> option_tests();
std::span<const Test> extension_tests();
std::span<const Test> splice_tests();
std::span<const Test> stream_tests();
std::span<const Test> datagram_tests();

/// All of them, in an order that meets the simple reasons for a failure first.
std::vector<Test> all_tests();

}  // namespace ferry::conformance

// What tests and fuzz targets within the quic plugin share: a host that hears nothing, and settings without the core.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "ferry/sdk/poll_wait.hpp"
#include "quic_options.hpp"

namespace ferry::quic {

inline constexpr ferry_host quiet_host = {sizeof(ferry_host),
                                          FERRY_ABI_MAJOR,
                                          FERRY_ABI_MINOR,
                                          0,
                                          [](const ferry_host*, ferry_log_level, const char*) {},
                                          [](const ferry_host*) { return plugin::monotonic_ns(); },
                                          nullptr,
                                          nullptr};

inline std::shared_ptr<const Settings> settings_of(const std::vector<std::pair<Option, const char*>>& texts,
                                                   std::int64_t backlog = 1024) {
  std::vector<ferry_value> values(option_count, ferry_value{});
  values[option_alpn] = {0, "ferry", 1, 1};
  values[option_cc] = {0, "cubic", 1, 1};
  for (const auto& [option, text] : texts) values[option] = {0, text, 1, 1};
  values[option_idle_timeout] = {30'000'000'000, nullptr, 1, 1};
  values[option_handshake_timeout] = {10'000'000'000, nullptr, 1, 1};
  values[option_sndbuf] = {1 << 20, nullptr, 1, 1};
  values[option_rcvbuf] = {1 << 20, nullptr, 1, 1};
  values[option_backlog] = {backlog, nullptr, 1, 1};
  const ferry_values abi{sizeof(ferry_values), option_count, sizeof(ferry_value), 0, values.data()};
  return std::make_shared<const Settings>(plugin::Options(&abi));
}

}  // namespace ferry::quic

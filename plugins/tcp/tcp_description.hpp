// What the plugin says of itself, the same on every system.
#pragma once

#include "tcp_options.hpp"

namespace ferry::tcp {

inline constexpr const char* schemes[] = {"tcp", nullptr};

inline constexpr plugin::Description description = {
    .name = "tcp",
    .version = "0.1.0",
    .description = "TCP over IPv4 and IPv6, with Multipath TCP where both sides have it",
    .licence = "Apache-2.0",
    .schemes = schemes,
    .capabilities = FERRY_CAP_STREAM | FERRY_CAP_HALF_CLOSE | FERRY_CAP_RESET | FERRY_CAP_REMOTE | FERRY_CAP_EPHEMERAL,
    .options = option_table.data(),
    .option_count = option_count,
    .ephemeral_address = "127.0.0.1:0"};

}  // namespace ferry::tcp

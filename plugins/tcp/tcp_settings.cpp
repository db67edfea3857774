#include <string_view>

#include "tcp_options.hpp"

namespace ferry::tcp {
namespace {

using plugin::Options;

int whole_seconds(std::int64_t ns) { return static_cast<int>((ns + second_ns - 1) / second_ns); }

Family parse_family(std::string_view text) {
  if (text == "ipv4") return Family::ipv4;
  return text == "ipv6" ? Family::ipv6 : Family::any;
}

}  // namespace

Settings::Settings(Options options)
    : nodelay(options.flag(option_nodelay)),
      keepalive(options.flag(option_keepalive)),
      keepalive_idle_s(whole_seconds(options.integer(option_keepalive_idle, 60 * second_ns))),
      keepalive_interval_s(whole_seconds(options.integer(option_keepalive_interval, 10 * second_ns))),
      keepalive_count(static_cast<int>(options.integer(option_keepalive_count, 6))),
      user_timeout_ms(static_cast<int>((options.integer(option_user_timeout) + millisecond_ns - 1) / millisecond_ns)),
      buffers{options.integer(option_sndbuf), options.integer(option_rcvbuf)},
      congestion(options.text(option_congestion)),
      mptcp(options.flag(option_mptcp)),
      reuse_port(options.flag(option_reuse_port)),
      family(parse_family(options.text(option_family))),
      backlog(static_cast<int>(options.integer(option_backlog, 1024))) {
  for (std::uint32_t option = 0; option < option_count; ++option) {
    explicit_options.set(option, options[option].is_explicit != 0);
  }
}

}  // namespace ferry::tcp

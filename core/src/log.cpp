#include "ferry/log.hpp"

#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <array>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "ferry/error.hpp"

namespace ferry {
namespace {

struct LevelName {
  std::string_view name;
  spdlog::level::level_enum level;
};
constexpr std::array<LevelName, 6> levels = {{{"trace", spdlog::level::trace},
                                              {"debug", spdlog::level::debug},
                                              {"info", spdlog::level::info},
                                              {"warning", spdlog::level::warn},
                                              {"error", spdlog::level::err},
                                              {"off", spdlog::level::off}}};

spdlog::level::level_enum to_spdlog(ferry_log_level level) noexcept {
  if (level >= FERRY_LOG_TRACE && level <= FERRY_LOG_ERROR) return levels[static_cast<std::size_t>(level)].level;
  return spdlog::level::warn;  // FERRY_LOG_PEER_MISBEHAVING, and what a later minor version may add
}

// spdlog's patterns cannot escape, so a JSON line needs a formatter of its own.
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto text = [](spdlog::string_view_t view) { return std::string(view.data(), view.size()); };
    spdlog::memory_buf_t time;
    time_.format(message, time);
    const nlohmann::ordered_json line = {{"time", std::string(time.data(), time.size())},
                                         {"level", text(spdlog::level::to_string_view(message.level))},
                                         {"logger", text(message.logger_name)},
                                         {"message", text(message.payload)}};
    const std::string json = line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    out.append(json.data(), json.data() + json.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }

 private:
  spdlog::pattern_formatter time_{"%Y-%m-%dT%H:%M:%S.%fZ", spdlog::pattern_time_type::utc, ""};
};

std::unique_ptr<spdlog::formatter> text_formatter() {
  return std::make_unique<spdlog::pattern_formatter>("%Y-%m-%d %H:%M:%S.%e %^%l%$ [%n] %v");
}

// The sink colours levels on a terminal only. Leaked on purpose: plugins' threads may log until the process ends.
spdlog::sinks::stderr_color_sink_mt& sink() {
  static auto* const instance = [] {
    auto* made = new spdlog::sinks::stderr_color_sink_mt();
    made->set_level(spdlog::level::info);
    made->set_formatter(text_formatter());
    return made;
  }();
  return *instance;
}

std::string escape_controls(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      char escaped[5];
      std::snprintf(escaped, sizeof(escaped), "\\x%02x", byte);
      out += escaped;
    }
  }
  return out;
}

}  // namespace

void configure_logging(std::string_view level, std::string_view format) {
  const LevelName* chosen = nullptr;
  for (const LevelName& row : levels) {
    if (row.name == level) chosen = &row;
  }
  if (chosen == nullptr) {
    throw Error(Status::invalid, "set log level", std::string(level), "use trace, debug, info, warning, error or off");
  }
  if (format != "text" && format != "json") {
    throw Error(Status::invalid, "set log format", std::string(format), "use text or json");
  }
  sink().set_level(chosen->level);
  sink().set_formatter(format == "json" ? std::make_unique<JsonFormatter>() : text_formatter());
}

void log(ferry_log_level level, std::string_view name, std::string_view text) noexcept {
  const auto spdlog_level = to_spdlog(level);
  if (!sink().should_log(spdlog_level)) return;
  try {
    const std::string line = escape_controls(text);
    sink().log(spdlog::details::log_msg({name.data(), name.size()}, spdlog_level, {line.data(), line.size()}));
  } catch (...) {
    return;  // out of memory or a closed standard error: the work goes on without its log line
  }
}

}  // namespace ferry

#include "ferry/log.hpp"

#include <spdlog/formatter.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include <array>
#include <cstdio>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "ferry/error.hpp"
#include "standard_error.hpp"

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

// Standard error, levels coloured on a terminal. It never waits: a log that nobody reads - a full pipe, a stopped
// terminal, a full disk - must not stop the connections whose thread logs. Lines that find no room are counted, and the
// next one that does says how many were lost. Rejected: a queue and a thread of its own, which only lose later.
class StandardErrorSink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (lost_ > 0 && !report_lost(message)) return void(++lost_);
    if (!write(message)) ++lost_;
  }
  void flush_() override {}

 private:
  bool report_lost(const spdlog::details::log_msg& next) {
    const std::string text = std::to_string(lost_) + " lines of the log were lost: standard error took no more";
    spdlog::details::log_msg note(next.logger_name, spdlog::level::warn, text);
    if (!write(note)) return false;
    lost_ = 0;
    return true;
  }

  bool write(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t formatted;
    formatter_->format(message, formatted);
    const std::string_view line(formatted.data(), formatted.size());
    std::string text = inside_line_ ? "\n" : "";
    if (coloured_ && message.color_range_end > message.color_range_start) {
      text += line.substr(0, message.color_range_start);
      text += colours[static_cast<std::size_t>(message.level)];
      text += line.substr(message.color_range_start, message.color_range_end - message.color_range_start);
      text += "\033[m";
      text += line.substr(message.color_range_end);
    } else {
      text += line;
    }
    const std::size_t written = write_standard_error(text);
    if (written > 0) inside_line_ = written < text.size();
    return written == text.size();
  }

  // Of trace, debug, info, warning, error, critical.
  static constexpr std::array<std::string_view, 6> colours = {"\033[37m",   "\033[36m",   "\033[32m",
                                                              "\033[33;1m", "\033[31;1m", "\033[1;41m"};
  const bool coloured_ = standard_error_is_terminal();
  std::uint64_t lost_ = 0;
  bool inside_line_ = false;  // the last line found room for its beginning only
};

// Leaked on purpose: plugins' threads may log until the process ends.
StandardErrorSink& sink() {
  static auto* const instance = [] {
    auto* made = new StandardErrorSink();
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

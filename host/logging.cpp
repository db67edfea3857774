#include "logging.hpp"

#include <spdlog/fmt/chrono.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

namespace ferry::host {
namespace {

// One object per line. A pattern cannot do this: %v does not escape quotes or control characters.
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto since_epoch = message.time.time_since_epoch();
    const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count() % 1'000'000;
    nlohmann::ordered_json line;
    line["time"] = fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z",
                               fmt::gmtime(std::chrono::system_clock::to_time_t(message.time)), micros);
    line["level"] = std::string_view(spdlog::level::to_string_view(message.level).data());
    line["logger"] = std::string_view(message.logger_name.data(), message.logger_name.size());
    line["message"] = std::string_view(message.payload.data(), message.payload.size());
    const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }
};

bool log_is_json = false;

std::unique_ptr<spdlog::formatter> make_formatter(bool json) {
  if (json) return std::make_unique<JsonFormatter>();
  return std::make_unique<spdlog::pattern_formatter>("%Y-%m-%d %H:%M:%S.%e %^%-7l%$ %n: %v");
}

}  // namespace

void set_up_logging(const std::string& level, const std::string& format) {
  log_is_json = format == "json";
  auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>(spdlog::color_mode::automatic);
  auto logger = std::make_shared<spdlog::logger>("ferry", std::move(sink));
  spdlog::set_default_logger(std::move(logger));
  spdlog::set_formatter(make_formatter(log_is_json));
  spdlog::set_level(spdlog::level::from_str(level));
}

void report_failure(const std::string& message) {
  if (log_is_json) {
    spdlog::critical("{}", message);
  } else {
    std::cerr << "ferry: " << message << std::endl;
  }
}

}  // namespace ferry::host

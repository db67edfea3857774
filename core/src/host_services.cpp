// The host services table that plugins receive, one per plugin name, kept for the life of the process because a plugin
// is never unloaded and its threads may still log at exit.
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>

#include "ferry/deadline.hpp"
#include "ferry/log.hpp"
#include "ferry/log_limit.hpp"
#include "ferry/registry.hpp"

namespace ferry {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::int64_t peer_burst_lines = 20;  // then one a second
constexpr std::int64_t own_burst_lines = 200;  // warnings and errors of the plugin itself, then ten a second

std::atomic<std::uint64_t> peer_misbehaviours{0};

struct HostServices {
  ferry_host abi{};  // first: the ABI's pointer to it is a pointer to the whole
  std::string logger;
  std::mutex mutex;
  LogLimit peers{peer_burst_lines, second_ns};
  LogLimit own{own_burst_lines, second_ns / 10};
};
static_assert(std::is_standard_layout_v<HostServices>);

HostServices& self(const ferry_host* host) noexcept {
  return *const_cast<HostServices*>(reinterpret_cast<const HostServices*>(host));
}

void FERRY_CALL log_line(const ferry_host* host, ferry_log_level level, const char* text) noexcept {
  if (text == nullptr) return;
  HostServices& services = self(host);
  const bool peer = level == FERRY_LOG_PEER_MISBEHAVING;
  if (peer) peer_misbehaviours.fetch_add(1, std::memory_order_relaxed);
  std::uint64_t suppressed = 0;
  if (level >= FERRY_LOG_WARNING) {
    const std::lock_guard lock(services.mutex);
    if (!(peer ? services.peers : services.own).allow(monotonic_now_ns(), suppressed)) return;
  }
  try {
    std::string line = peer ? "peer misbehaving: " : "";
    line += text;
    if (suppressed > 0) line += " (" + std::to_string(suppressed) + " more like it not shown)";
    log(level, services.logger, line);
  } catch (...) {
    return;  // out of memory: the line is lost, the connection is not
  }
}

std::int64_t FERRY_CALL now_ns(const ferry_host*) noexcept { return monotonic_now_ns(); }

std::int32_t FERRY_CALL timeout_ms(const ferry_host*, std::int64_t deadline_ns) noexcept {
  return Deadline::at_ns(deadline_ns).timeout_ms();
}

const void* FERRY_CALL get_extension(const ferry_host*, const char*) noexcept { return nullptr; }

}  // namespace

std::uint64_t peer_misbehaviour_count() noexcept { return peer_misbehaviours.load(std::memory_order_relaxed); }

const ferry_host& host_for(std::string_view plugin_name) {
  static std::mutex mutex;
  static auto* const all = new std::map<std::string, std::unique_ptr<HostServices>, std::less<>>();
  const std::lock_guard lock(mutex);
  auto found = all->find(plugin_name);
  if (found == all->end()) {
    auto services = std::make_unique<HostServices>();
    services->abi = {sizeof(ferry_host), FERRY_ABI_MAJOR, FERRY_ABI_MINOR, 0,
                     log_line,           now_ns,          timeout_ms,      get_extension};
    services->logger = "ferry." + std::string(plugin_name);
    found = all->emplace(std::string(plugin_name), std::move(services)).first;
  }
  return found->second->abi;
}

}  // namespace ferry

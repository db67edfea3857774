#include "report.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "report_page.hpp"

namespace ferry::conformance {
namespace {

constexpr std::array<std::string_view, 48> call_names{
    "no call",
    "loading",
    "check_address",
    "create",
    "connect",
    "listen",
    "transport effective",
    "destroy",
    "accept",
    "listener arm",
    "listener pollable",
    "listener interrupt",
    "local_address",
    "listener effective",
    "reconfigure",
    "listener close",
    "listener get_extension",
    "read",
    "write",
    "arm",
    "pollable",
    "shutdown_write",
    "interrupt",
    "finish",
    "close",
    "abort",
    "info",
    "effective",
    "get_extension",
    "peek",
    "consume",
    "reserve",
    "commit",
    "credentials",
    "file send",
    "splice pipe",
    "splice receive",
    "splice send",
    "fds send",
    "fds receive",
    "statistics",
    "streams open",
    "streams listen",
    "streams reset",
    "streams stop",
    "datagrams open",
    "identity get",
    "plugin get_extension",
};
static_assert(call_names.size() == static_cast<std::size_t>(Call::plugin_get_extension) + 1);

std::atomic<std::uint32_t>* current_slots = nullptr;
std::atomic<std::uint32_t> next_slot{0};

std::atomic<std::uint32_t>* own_slot() noexcept {
  thread_local const std::uint32_t index =
      next_slot.fetch_add(1, std::memory_order_relaxed) % ReportPage::slots_per_side;
  return current_slots == nullptr ? nullptr : current_slots + index;
}

}  // namespace

std::string_view name_of(Call call) noexcept { return call_names[static_cast<std::size_t>(call)]; }

Report::Report(const std::filesystem::path& file) : page_(map_report(file)) {}

Report::~Report() { unmap_report(page_); }

void Report::finish(Outcome outcome, std::string_view text) noexcept {
  const std::size_t size = std::min(text.size(), sizeof page_->text - 1);
  std::uint32_t running = static_cast<std::uint32_t>(Outcome::running);
  if (!page_->outcome.compare_exchange_strong(running, static_cast<std::uint32_t>(outcome))) return;
  std::memcpy(page_->text, text.data(), size);
  page_->text[size] = '\0';
}

Outcome Report::outcome() const noexcept {
  return static_cast<Outcome>(page_->outcome.load(std::memory_order_relaxed));
}

std::string Report::text() const { return {page_->text, ::strnlen(page_->text, sizeof page_->text)}; }

std::string Report::calls_under_way(Side side) const {
  std::string text;
  for (const auto& slot : page_->calls[static_cast<std::size_t>(side)]) {
    const auto call = slot.load(std::memory_order_relaxed);
    if (call == 0 || call >= call_names.size()) continue;
    if (!text.empty()) text += ", ";
    text += call_names[call];
  }
  return text;
}

CallMark::CallMark(Call call) noexcept : slot_(own_slot()) {
  if (slot_ != nullptr) slot_->store(static_cast<std::uint32_t>(call), std::memory_order_relaxed);
}

CallMark::~CallMark() {
  if (slot_ != nullptr) slot_->store(0, std::memory_order_relaxed);
}

void set_report(Report& report, Side side) noexcept {
  current_slots = report.page().calls[static_cast<std::size_t>(side)];
}

}  // namespace ferry::conformance

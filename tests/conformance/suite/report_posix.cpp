#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "report.hpp"

namespace ferry::conformance {
namespace {

constexpr std::array<std::string_view, 39> call_names{
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
    "fds send",
    "fds receive",
    "statistics",
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

Report::Report(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) throw std::system_error(errno, std::generic_category(), file.string());
  void* mapped = MAP_FAILED;
  if (::ftruncate(fd, sizeof(ReportPage)) == 0) {
    mapped = ::mmap(nullptr, sizeof(ReportPage), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  const int error = errno;
  ::close(fd);
  if (mapped == MAP_FAILED) throw std::system_error(error, std::generic_category(), file.string());
  page_ = static_cast<ReportPage*>(mapped);
}

Report::~Report() { ::munmap(page_, sizeof(ReportPage)); }

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

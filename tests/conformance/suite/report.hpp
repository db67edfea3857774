// What a test's process tells the runner: a page of a file that both map, so that it survives a crash or a kill.
//
// It holds the ABI call that each thread is in, which is how the runner can say "killed by SIGSEGV in read", and at the
// end the outcome and its reason. A pipe was rejected: what is buffered in a crashing process is lost with it.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace ferry::conformance {

/// Functions of the ABI, as they are named in reasons.
enum class Call : std::uint32_t {
  none,
  load,
  check_address,
  create,
  connect,
  listen,
  transport_effective,
  destroy,
  accept,
  listener_arm,
  listener_pollable,
  listener_interrupt,
  local_address,
  listener_effective,
  reconfigure,
  listener_close,
  listener_get_extension,
  read,
  write,
  arm,
  pollable,
  shutdown_write,
  interrupt,
  finish,
  close,
  abort,
  info,
  effective,
  get_extension,
  peek,
  consume,
  reserve,
  commit,
  credentials,
  file_send,
  splice_pipe,
  splice_receive,
  splice_send,
  fds_send,
  fds_receive,
  statistics,
  streams_open,
  streams_listen,
  streams_reset,
  streams_stop,
  datagrams_open,
  identity_get,
  plugin_get_extension,
};
std::string_view name_of(Call call) noexcept;

enum class Outcome : std::uint32_t { running, passed, failed, skipped };

/// The half of the page's slots that a process uses, so that a test and its second process share one page.
enum class Side : std::uint32_t { test, peer };

/// The shared page. Plain data and lock-free atomics, valid in every process that maps it.
struct ReportPage {
  static constexpr std::size_t slots_per_side = 64;
  std::atomic<std::uint32_t> calls[2][slots_per_side];
  std::atomic<std::uint32_t> outcome;
  std::uint32_t loaded;  // 1 once the plugin was loaded and the facts below were filled in
  std::uint64_t capabilities;
  char name[64];
  char version[64];
  char text[4096];
};

/// A mapping of a report file, made when it does not exist.
class Report {
 public:
  explicit Report(const std::filesystem::path& file);
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;
  ~Report();

  /// The first outcome stays. Any thread.
  void finish(Outcome outcome, std::string_view text) noexcept;
  Outcome outcome() const noexcept;
  std::string text() const;
  /// "read, write": the calls of one side under way; empty when there is none.
  std::string calls_under_way(Side side) const;

  ReportPage& page() const noexcept { return *page_; }

 private:
  ReportPage* page_;
};

/// Says that this thread is inside `call` for as long as the mark lives. Costs two relaxed stores.
class CallMark {
 public:
  explicit CallMark(Call call) noexcept;
  CallMark(const CallMark&) = delete;
  CallMark& operator=(const CallMark&) = delete;
  ~CallMark();

 private:
  std::atomic<std::uint32_t>* slot_;
};

/// Where this process's marks go; set once, before the first thread.
void set_report(Report& report, Side side) noexcept;

}  // namespace ferry::conformance

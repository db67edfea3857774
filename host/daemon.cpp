#include "daemon.hpp"

#include <uv.h>

#include <chrono>
#include <utility>

#include "ferry/error.hpp"
#include "logging.hpp"
#include "standard_streams.hpp"

namespace ferry::host {

Daemon::Daemon(Reactor& reactor, std::int64_t drain_ns, Hooks hooks)
    : reactor_(reactor), drain_ns_(drain_ns), hooks_(std::move(hooks)) {
  ignore_broken_pipes();  // whoever read our output may go; the clients stay
  for (const int number : known_.end) watch(number);
  if (hooks_.reload) watch(known_.reload);
}

Daemon::~Daemon() = default;

void Daemon::SignalDeleter::operator()(uv_signal_s* handle) const noexcept {
  uv_close(reinterpret_cast<uv_handle_t*>(handle),
           [](uv_handle_t* closed) { delete reinterpret_cast<uv_signal_t*>(closed); });
}

void Daemon::watch(int number) {
  auto raw = std::make_unique<uv_signal_t>();
  uv_signal_init(reactor_.loop(), raw.get());
  Signal handle(raw.release());
  handle->data = this;
  const int result = uv_signal_start(
      handle.get(), [](uv_signal_t* fired, int which) { static_cast<Daemon*>(fired->data)->on_signal(which); }, number);
  if (result != 0) throw Error(Status::io, "watch signal", std::to_string(number), uv_strerror(result), -result);
  signals_.push_back(std::move(handle));
}

void Daemon::run() { reactor_.run(); }

void Daemon::on_signal(int number) {
  if (number == known_.reload) {
    if (!draining_) return hooks_.reload();
    // It would listen again.
    return log_line(FERRY_LOG_WARNING, "told to reload while the process ends: nothing is reloaded");
  }
  if (!std::exchange(told_, true)) return drain();
  log_line(FERRY_LOG_WARNING, "told to end a second time: cutting {} connections", hooks_.live());
  end_now();
}

void Daemon::drain_without_bound() {
  draining_ = true;
  hooks_.stop_accepting();
  departed();
}

void Daemon::drain() {
  drain_without_bound();
  const std::size_t live = hooks_.live();
  if (live == 0) return;
  log_line(FERRY_LOG_INFO, "draining: {} connections have {} s to finish", live, drain_ns_ / 1'000'000'000);
  drain_timer_ = reactor_.call_at(std::chrono::nanoseconds(drain_ns_), [this] {
    log_line(FERRY_LOG_WARNING, "cutting {} connections that did not finish in time", hooks_.live());
    end_now();
  });
}

void Daemon::end_now() {
  hooks_.cut();
  if (hooks_.live() == 0) reactor_.stop();  // else departed() does, in this turn or the next
}

void Daemon::departed() {
  if (draining_ && hooks_.live() == 0) reactor_.stop();
}

}  // namespace ferry::host

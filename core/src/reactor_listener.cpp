#include "reactor_listener.hpp"

#include <algorithm>
#include <utility>

#include "ferry/log.hpp"

namespace ferry {

ListenerDriver::ListenerDriver(ReactorCore& core, Listener listener, OnAccept on_accept, OnError on_error,
                               std::uint32_t budget)
    : core_(core),
      listener_(std::move(listener)),
      descriptor_(listener_.descriptor()),
      on_accept_(std::move(on_accept)),
      on_error_(std::move(on_error)),
      budget_(std::max(budget, 1u)) {}

void ListenerDriver::start() {
  ferry_listener* const raw = listener_.raw();
  ferry_pollable pollable{};
  if (raw->ops->pollable(raw, &pollable) != FERRY_OK) {
    throw Error(Status::unsupported, "watch", descriptor_, "the transport has nothing to wait on");
  }
  events_ = uv_events_of(pollable.events);
  watch_ = Watch::open(
      core_.loop(), pollable.handle, [](void* self, Watch&, int) { static_cast<ListenerDriver*>(self)->on_ready(); },
      this);
  if (const ferry_drive* const table = drive_table_of(*raw); table != nullptr) {
    engine_ = core_.use_engine(table, table->of_listener(raw));
  }
  schedule();  // clients may be waiting already; and the first turn arms
}

void ListenerDriver::schedule() {
  if (!std::exchange(scheduled_, true)) core_.accept_later(shared_from_this());
}

void ListenerDriver::resume_accepting() {
  if (std::exchange(paused_, false) && listener_) schedule();
}

void ListenerDriver::on_ready() {
  core_.wake_engines();
  accept_turn();
}

void ListenerDriver::accept_turn() {
  const auto alive = shared_from_this();
  scheduled_ = false;
  for (std::uint32_t left = budget_; left > 0; --left) {
    if (!accept_one()) return;
  }
  schedule();
}

bool ListenerDriver::accept_one() {
  if (!listener_) return false;
  if (paused_) return (void)watch_->want(0), false;
  pause_.reset();
  Connection accepted;
  ferry_error error{};
  error.struct_size = sizeof(error);
  const Status status = listener_.try_accept(accepted, Deadline::no_wait(), &error);
  if (status == Status::ok) {
    (void)ReactorCore::run_handler("on_accept", [&] { on_accept_(std::move(accepted)); });
    return static_cast<bool>(listener_);
  }
  if (status != Status::would_block && status != Status::timed_out) {
    on_failure(status, error);
    return static_cast<bool>(listener_) && pause_ == nullptr;
  }
  ferry_listener* const raw = listener_.raw();
  const std::int32_t answer = raw->ops->arm(raw);
  if (answer == FERRY_READY) return true;
  if (answer < 0 || !watch_->want(events_)) pause();
  return false;
}

void ListenerDriver::on_failure(Status status, const ferry_error& error) {
  if (status == Status::closed || status == Status::interrupted) {
    close();
  } else if (!is_of_one_client(status)) {
    pause();
  }
  if (on_error_) {
    (void)ReactorCore::run_handler("on_error", [&] { on_error_(error); });
  } else {
    log(FERRY_LOG_WARNING, "ferry.reactor",
        "accept " + descriptor_ + ": " +
            (error.message[0] != '\0' ? std::string(error.message) : std::string(describe(status))));
  }
}

void ListenerDriver::pause() {
  (void)watch_->want(0);
  pause_ = Timer::start(core_, std::chrono::nanoseconds(resource_pause_ns), [this] { accept_turn(); });
}

void ListenerDriver::close() {
  if (!listener_) return;
  watch_.reset();
  pause_.reset();
  engine_.reset();  // before the close: with its listener the transport may go
  listener_.close();
  core_.forget(*this);
}

}  // namespace ferry

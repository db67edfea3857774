#include "reactor_connection.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "ferry/log.hpp"

namespace ferry {
namespace {

/// A read of more than this is no longer a matter of latency.
constexpr std::size_t spin_bytes = 4096;

}  // namespace

ConnectionDriver::ConnectionDriver(ReactorCore& core, Connection connection, Handlers handlers, ReactorLimits limits)
    : core_(core),
      connection_(std::move(connection)),
      raw_(connection_.raw()),
      ops_(raw_->ops),
      handlers_(std::move(handlers)),
      limits_(limits),
      wait_(connection_.settings().wait),
      format_(frame_format_of(connection_.info())),
      inbox_(format_, connection_.settings().max_message, core_.spare_block()),
      queue_(core.chunks(), format_) {
  limits_.read_budget = std::max<std::size_t>(limits_.read_budget, 1);
  if (connection_.kind() == FERRY_STREAM) {
    quick_limits_ = {std::min(limits_.write_high_watermark, flush_early_bytes), limits_.write_high_watermark};
  }
  if (connection_.kind() == FERRY_RECORDS) {
    record_sizes_ = std::make_unique<std::vector<std::uint64_t>>();
    const std::uint64_t largest = std::min(connection_.info().max_record, connection_.settings().max_message);
    core.enlarge_read_buffer(static_cast<std::size_t>(largest));
  } else if (connection_.lends()) {
    lend_ = connection_.extension<ferry_lend>(FERRY_EXT_LEND);
  }
  arm_many_ = connection_.extension<ferry_arm_many>(FERRY_EXT_ARM_MANY);
  if (!FERRY_HAS(arm_many_, ferry_arm_many, arm)) arm_many_ = nullptr;
}

ConnectionDriver::~ConnectionDriver() = default;

void ConnectionDriver::start() {
  ferry_pollable in{};
  ferry_pollable out{};
  const ferry_status status_in = ops_->pollable(raw_, FERRY_READ, &in);
  const ferry_status status_out = ops_->pollable(raw_, FERRY_WRITE, &out);
  if (status_in != FERRY_OK || status_out != FERRY_OK) {
    throw Error(Status::unsupported, "watch", connection_.descriptor(), "the transport has nothing to wait on");
  }
  read_events_ = uv_events_of(in.events);
  write_events_ = uv_events_of(out.events);
  const Watch::Callback callback = [](void* self, Watch& watch, int events) {
    static_cast<ConnectionDriver*>(self)->on_ready(watch, events);
  };
  read_watch_ = Watch::open(core_.loop(), in.handle, callback, this);
  if (in.handle != out.handle) write_watch_ = Watch::open(core_.loop(), out.handle, callback, this);
  if (const ferry_drive* const table = drive_table_of(*raw_); table != nullptr) {
    engine_ = core_.use_engine(table, table->of_connection(raw_));
    if (engine_ != nullptr) engine_->adopt(*this);
  }
  update_interest();
  note_traffic();  // arms it before the first sleep
}

// ---------------------------------------------------------------------------------------------------------- input

void ConnectionDriver::on_ready(const Watch& watch, int events) {
  core_.wake_engines();
  const bool both = write_watch_ == nullptr;
  on_event((both || &watch == read_watch_.get()) && (events & read_events_) != 0,
           (both || &watch == write_watch_.get()) && (events & write_events_) != 0);
}

void ConnectionDriver::on_driven(ferry_interest interest) {
  on_event((interest & FERRY_READ) != 0, (interest & FERRY_WRITE) != 0);
}

void ConnectionDriver::on_event(bool in, bool out) {
  if (phase_ >= Phase::ended) return;
  if (out) {
    queue_.close_window();
    wants_room_ = blocked_;
    if (std::exchange(blocked_, false)) schedule_flush();
  }
  if (in && wants_input()) phase_ == Phase::finishing ? finish() : read_turn();
  if (phase_ < Phase::ended) update_interest();
}

bool ConnectionDriver::wants_input() const noexcept {
  if (phase_ == Phase::open) return !paused_ && !input_ended_;
  return phase_ == Phase::finishing || (phase_ == Phase::draining && !input_ended_);
}

void ConnectionDriver::note_traffic() {
  if (!std::exchange(in_to_arm_, true)) core_.arm_later(*this);
}

void ConnectionDriver::read_left_over() {
  in_to_read_ = false;
  if (phase_ >= Phase::ended || !wants_input()) return;
  phase_ == Phase::finishing ? finish() : read_turn();
  if (phase_ < Phase::ended) update_interest();
}

void ConnectionDriver::read_turn() {
  note_traffic();
  if (!inbox_.empty() && delivers()) {
    ConstBytes nothing_new;
    deliver(nothing_new, false);
  }
  std::size_t budget = limits_.read_budget;
  while (phase_ < Phase::ended && wants_input()) {
    std::size_t taken = 0;
    const Outcome outcome = read_once(budget, taken);
    if (outcome == Outcome::stopped) return;
    if (outcome == Outcome::would_block && failure_ != Status::ok) return end(failure_, false);
    // After a partial read the transport is most likely empty; arm() finds out at no cost.
    if (outcome == Outcome::would_block || (outcome == Outcome::partial && failure_ == Status::ok)) return;
    budget -= std::min(budget, std::max<std::size_t>(taken, 1));
    if (budget == 0) return schedule_read();
  }
}

bool ConnectionDriver::sweep_read() {
  const bool found = spin_read();
  vain_sweeps_ = found ? 0 : vain_sweeps_ + 1;
  return found;
}

bool ConnectionDriver::spin_read() {
  if (phase_ != Phase::open || !wants_input()) return false;
  std::size_t taken = 0;
  const Outcome outcome = read_once(limits_.read_budget, taken);
  if (outcome == Outcome::would_block) return false;
  // Bulk takes its turns with the others; spinning is for whoever waits for a short answer.
  if (taken > spin_bytes && phase_ == Phase::open) schedule_read();
  if (phase_ < Phase::ended) update_interest();
  return true;
}

ConnectionDriver::Outcome ConnectionDriver::read_once(std::size_t limit, std::size_t& taken) {
  if (phase_ != Phase::open) return discard_once(taken);
  return lend_ != nullptr ? read_lent(limit, taken) : read_copy(limit, taken);
}

ConnectionDriver::Outcome ConnectionDriver::read_copy(std::size_t limit, std::size_t& taken) {
  const bool records = record_sizes_ != nullptr;
  MutableBytes into;
  if (!records && !inbox_.empty() && handlers_.on_message &&
      !core_.run_handler("read", [&] { into = inbox_.spare(); })) {
    end(Status::no_resources, false);
    return Outcome::stopped;
  }
  const bool straight = !into.empty();
  if (!straight) into = core_.read_buffer();
  if (!records) into = into.first(std::min(limit, into.size()));
  const IoResult result = connection_.read(into, Deadline::no_wait());
  if (!result) return outcome_of(result.status);
  taken = result.size;
  ConstBytes bytes = straight ? ConstBytes() : ConstBytes(into.first(taken));
  if (straight) inbox_.filled(taken);
  deliver(bytes, true);
  if (!delivers()) return Outcome::stopped;
  return records || taken == into.size() ? Outcome::full : Outcome::partial;
}

ConnectionDriver::Outcome ConnectionDriver::read_lent(std::size_t limit, std::size_t& taken) {
  const void* data = nullptr;
  std::uint64_t size = 0;
  const ferry_status status = lend_->peek(raw_, 1, &data, &size, FERRY_NO_WAIT);
  if (status != FERRY_OK) return outcome_of(static_cast<Status>(status));
  const ConstBytes view = ConstBytes(static_cast<const std::byte*>(data), std::min<std::size_t>(size, limit));
  ConstBytes rest = view;
  deliver(rest, false);
  taken = view.size() - rest.size();
  if (raw_ == nullptr) return Outcome::stopped;
  lend_->consume(raw_, taken);
  if (!delivers()) return Outcome::stopped;
  return Outcome::full;  // a ring may hold a second run of bytes behind its end
}

ConnectionDriver::Outcome ConnectionDriver::discard_once(std::size_t& taken) {
  const MutableBytes into = core_.read_buffer();
  const IoResult result = connection_.read(into, Deadline::no_wait());
  if (!result) return outcome_of(result.status);
  taken = result.size;
  return taken == into.size() ? Outcome::full : Outcome::partial;
}

ConnectionDriver::Outcome ConnectionDriver::outcome_of(Status failure) {
  if (failure == Status::would_block || failure == Status::timed_out) return Outcome::would_block;
  if (failure == Status::end) {
    on_input_end();
  } else {
    end(failure_ != Status::ok ? failure_ : failure, false);
  }
  return Outcome::stopped;
}

// `keep_rest`: what a paused reader leaves must be copied, because the read buffer is everybody's.
void ConnectionDriver::deliver(ConstBytes& bytes, bool keep_rest) {
  Status framing = Status::ok;
  in_handler_ = true;
  const bool served = core_.run_handler("on_message", [&] {
    if (handlers_.on_bytes) {
      handlers_.on_bytes(*this, std::exchange(bytes, {}));
    } else if (record_sizes_ != nullptr) {
      handlers_.on_message(*this, std::exchange(bytes, {}));
    } else {
      framing = inbox_.feed(bytes, [this](ConstBytes message) {
        handlers_.on_message(*this, message);
        return delivers();
      });
      if (keep_rest && phase_ == Phase::open) inbox_.keep(std::exchange(bytes, {}));
    }
  });
  in_handler_ = false;
  if (!served) end(Status::internal, false);
  if (framing != Status::ok) end(framing, false);
  if (phase_ == Phase::ended) release_transport();
}

void ConnectionDriver::on_input_end() {
  input_ended_ = true;
  if (phase_ != Phase::open) return;
  if (failure_ != Status::ok) return end(failure_, false);
  if (!inbox_.empty()) return end(Status::reset, false);  // inside a message: as a channel says it
  if (!handlers_.on_end) return close();
  call("on_end", handlers_.on_end);
}

void ConnectionDriver::resume_reading() {
  if (std::exchange(paused_, false) && phase_ == Phase::open) schedule_read();
}

void ConnectionDriver::schedule_read() {
  if (!std::exchange(in_to_read_, true)) core_.read_later(*this);
}

// ----------------------------------------------------------------------------------------------------------- life

void ConnectionDriver::schedule_flush() {
  if (!std::exchange(in_to_flush_, true)) core_.flush_later(*this);
}

void ConnectionDriver::end_turn() {
  in_to_flush_ = false;
  queue_.close_window();
  if (phase_ < Phase::finishing && !blocked_) {
    if (!queue_.empty() || record_sizes_ != nullptr) {
      note_traffic();
      flush();
    }
    if (queue_.empty() && phase_ == Phase::open && write_shut_ && !shut_done_) half_close();
    if (queue_.empty() && phase_ == Phase::draining) finish();
  }
  if (phase_ == Phase::open && above_ && queue_.size() <= limits_.write_low_watermark) {
    above_ = false;
    call("on_writable", handlers_.on_writable);
  }
  if (phase_ == Phase::ended) return tell();
  if ((phase_ == Phase::draining || phase_ == Phase::finishing) && !std::exchange(lingering_, true)) {
    core_.linger(std::static_pointer_cast<ConnectionDriver>(shared_from_this()));
  }
  if (phase_ < Phase::ended) update_interest();
}

void ConnectionDriver::leave_poll() {
  if (arm_many_ != nullptr) return;  // nothing is signalled to whom is not armed
  if (phase_ != Phase::open || std::exchange(out_of_poll_, true)) return;
  core_.hold();
  update_interest();
}

void ConnectionDriver::rejoin_poll() noexcept {
  if (std::exchange(out_of_poll_, false)) core_.release();
}

bool ConnectionDriver::wants_arm() {
  in_to_arm_ = false;
  vain_sweeps_ = 0;
  rejoin_poll();
  if (phase_ < Phase::ended) update_interest();
  return phase_ < Phase::ended && wants_input();
}

void ConnectionDriver::armed(std::int32_t answer) {
  if (answer == FERRY_ARMED) return;
  if (answer < 0 && failure_ == Status::ok) failure_ = static_cast<Status>(answer);
  schedule_read();
}

void ConnectionDriver::close() {
  if (phase_ != Phase::open) return;
  if (failure_ != Status::ok) return end(failure_, false);
  phase_ = Phase::draining;
  queue_.close_window();
  const std::int64_t now = monotonic_now_ns();
  linger_deadline_ns_ = now + std::min(connection_.settings().linger_ns, FERRY_FOREVER - now);
  schedule_flush();
}

void ConnectionDriver::finish() {
  phase_ = Phase::finishing;
  for (int attempt = 0; attempt < ready_retries; ++attempt) {
    const auto status = static_cast<Status>(ops_->finish(raw_, FERRY_NO_WAIT));
    if (status == Status::ok) return end(Status::ok, true);
    if (status != Status::would_block && status != Status::timed_out) return end(status, false);
    if (ops_->arm(raw_, FERRY_READ) == FERRY_ARMED) return;
  }
}

void ConnectionDriver::on_linger_tick() {
  if (phase_ != Phase::draining && phase_ != Phase::finishing) return;
  if (monotonic_now_ns() >= linger_deadline_ns_) {
    // What is still queued here is lost, so the peer must not take the end for a complete one; what the transport has
    // accepted may yet arrive.
    end(Status::timed_out, phase_ == Phase::finishing);
  } else if (phase_ == Phase::finishing) {
    finish();
  }
}

void ConnectionDriver::abort(Status reason) { end(reason, false); }

void ConnectionDriver::end(Status status, bool graceful) noexcept {
  if (phase_ >= Phase::ended) return;
  phase_ = Phase::ended;
  rejoin_poll();
  status_ = status;
  graceful_ = graceful;
  read_watch_.reset();
  write_watch_.reset();
  queue_.clear();
  if (!in_handler_) release_transport();
  schedule_flush();
}

void ConnectionDriver::give_up() noexcept {
  handlers_ = {};
  end(Status::internal, false);
}

void ConnectionDriver::release_transport() noexcept {
  ferry_connection* const raw = connection_.release();
  raw_ = nullptr;
  engine_.reset();  // before the close: with its last connection the transport may go
  if (raw != nullptr) graceful_ ? ops_->close(raw) : ops_->abort(raw);
}

void ConnectionDriver::tell() {
  phase_ = Phase::told;
  Handlers handlers = std::exchange(handlers_, {});
  if (handlers.on_closed) core_.run_handler("on_closed", [&] { handlers.on_closed(*this, status_); });
  core_.forget(*this);
}

template <class Handler>
void ConnectionDriver::call(const char* what, Handler& handler) {
  if (!handler) return;
  in_handler_ = true;
  const bool served = core_.run_handler(what, [&] { handler(*this); });
  in_handler_ = false;
  if (!served) end(Status::internal, false);
  if (phase_ == Phase::ended) release_transport();
}

void ConnectionDriver::update_interest() {
  const int in = wants_input() && !out_of_poll_ ? read_events_ : 0;
  const int out = wants_room_ ? write_events_ : 0;
  const bool accepted =
      write_watch_ != nullptr ? read_watch_->want(in) && write_watch_->want(out) : read_watch_->want(in | out);
  if (!accepted) end(Status::io, false);
}

}  // namespace ferry

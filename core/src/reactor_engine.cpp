#include "reactor_engine.hpp"

#include <array>
#include <utility>

#include "reactor_connection.hpp"
#include "reactor_core.hpp"
#include "reactor_timer.hpp"

namespace ferry {
namespace {

bool is_whole(const ferry_drive* table) noexcept {
  return FERRY_HAS(table, ferry_drive, of_connection) && FERRY_HAS(table, ferry_drive, of_listener) &&
         FERRY_HAS(table, ferry_drive, take) && FERRY_HAS(table, ferry_drive, adopt) &&
         FERRY_HAS(table, ferry_drive, drive) && FERRY_HAS(table, ferry_drive, arm) &&
         FERRY_HAS(table, ferry_drive, give);
}

}  // namespace

const ferry_drive* drive_table_of(ferry_connection& connection) noexcept {
  if (!FERRY_HAS(connection.ops, ferry_connection_ops, get_extension)) return nullptr;
  const auto* table = static_cast<const ferry_drive*>(connection.ops->get_extension(&connection, FERRY_EXT_DRIVE));
  return is_whole(table) ? table : nullptr;
}

const ferry_drive* drive_table_of(ferry_listener& listener) noexcept {
  if (!FERRY_HAS(listener.ops, ferry_listener_ops, get_extension)) return nullptr;
  const auto* table = static_cast<const ferry_drive*>(listener.ops->get_extension(&listener, FERRY_EXT_DRIVE));
  return is_whole(table) ? table : nullptr;
}

/// For an engine whose handle does not tell of its deadlines. Freed by libuv's close callback.
struct EngineDriver::Timer {
  uv_timer_t timer{};
};

void EngineDriver::CloseTimer::operator()(Timer* timer) const noexcept {
  uv_close(reinterpret_cast<uv_handle_t*>(&timer->timer),
           [](uv_handle_t* closed) { delete reinterpret_cast<Timer*>(closed); });
}

EngineDriver::EngineDriver(ReactorCore& core, const ferry_drive& table, ferry_engine& engine) noexcept
    : core_(core), table_(table), engine_(&engine) {}

std::unique_ptr<EngineDriver> EngineDriver::take(ReactorCore& core, const ferry_drive& table, ferry_engine& engine) {
  ferry_pollable pollable{};
  if (table.take(&engine, &pollable) != FERRY_OK) return nullptr;
  std::unique_ptr<EngineDriver> out(new EngineDriver(core, table, engine));  // gives it back whatever happens
  out->watch_ = Watch::open(
      core.loop(), pollable.handle, [](void* self, Watch&, int) { static_cast<EngineDriver*>(self)->on_ready(); },
      out.get());
  if (!out->watch_->want(uv_events_of(pollable.events))) return nullptr;
  out->watch_->unref();  // it serves connections, which keep the loop running if they have reason to
  return out;
}

EngineDriver::~EngineDriver() { give(); }

void EngineDriver::end_use() noexcept {
  if (--uses_ == 0) give();
}

void EngineDriver::give() noexcept {
  watch_.reset();
  timer_.reset();
  due_ = armed_ = false;
  if (ferry_engine* const engine = std::exchange(engine_, nullptr); engine != nullptr) table_.give(engine);
}

void EngineDriver::adopt(ConnectionDriver& connection) {
  table_.adopt(engine_, connection.connection().raw(), reinterpret_cast<std::uintptr_t>(&connection));
}

void EngineDriver::on_ready() {
  armed_ = false;  // drive says so as well
  core_.wake_engines();
  (void)drive();
}

bool EngineDriver::drive() {
  if (is_given()) return false;
  armed_ = due_ = false;
  std::array<ferry_driven, listed_at_once> driven;
  const std::uint32_t count = table_.drive(engine_, packet_budget, driven.data(), listed_at_once);
  // A handler may end any of them. They stay until the end of the turn, and so does this driver.
  for (std::uint32_t i = 0; i < count; ++i) {
    reinterpret_cast<ConnectionDriver*>(static_cast<std::uintptr_t>(driven[i].token))->on_driven(driven[i].interest);
  }
  return count > 0;
}

void EngineDriver::arm() {
  if (is_given()) return;
  std::int64_t deadline_ns = FERRY_FOREVER;
  due_ = table_.arm(engine_, &deadline_ns) != FERRY_ARMED;
  armed_ = true;
  if (deadline_ns != timer_set_to_) set_timer(deadline_ns);
}

void EngineDriver::wake() noexcept {
  if (is_given() || !std::exchange(armed_, false)) return;
  ferry_driven none;
  (void)table_.drive(engine_, 0, &none, 0);
}

void EngineDriver::set_timer(std::int64_t deadline_ns) {
  timer_set_to_ = deadline_ns;
  if (timer_ == nullptr) {
    timer_.reset(new Timer);
    (void)uv_timer_init(core_.loop(), &timer_->timer);  // always succeeds
    timer_->timer.data = this;
    uv_unref(reinterpret_cast<uv_handle_t*>(&timer_->timer));
  }
  if (deadline_ns == FERRY_FOREVER) return (void)uv_timer_stop(&timer_->timer);
  (void)uv_timer_start(
      &timer_->timer,
      [](uv_timer_t* timer) {
        auto& self = *static_cast<EngineDriver*>(timer->data);
        self.timer_set_to_ = FERRY_FOREVER;
        (void)self.drive();
      },
      ferry::Timer::milliseconds_until(core_.loop(), deadline_ns), 0);
}

}  // namespace ferry

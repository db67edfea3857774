#include "reactor_core.hpp"

#include <algorithm>
#include <utility>

#include "ferry/log.hpp"
#include "reactor_connect_pool.hpp"
#include "reactor_connection.hpp"
#include "reactor_listener.hpp"
#include "reactor_poll.hpp"
#include "reactor_timer.hpp"

namespace ferry {

/// libuv's handles of one reactor. They outlive the core on an application's loop: until the loop has run again.
struct ReactorCore::Handles {
  explicit Handles(ReactorCore* owner) noexcept : core(owner) {}

  static Handles& of(void* handle) noexcept { return *static_cast<Handles*>(static_cast<uv_handle_t*>(handle)->data); }

  void open(uv_loop_t* loop) {
    const int problem = uv_async_init(loop, &wake_up, [](uv_async_t* h) { of(h).core->on_wake_up(); });
    if (problem != 0) throw Error(Status::no_resources, "make", "event loop", uv_strerror(problem), -problem);
    (void)uv_prepare_init(loop, &prepare);
    (void)uv_check_init(loop, &check);
    (void)uv_idle_init(loop, &idle);
    (void)uv_timer_init(loop, &linger);
    each([this](uv_handle_t* handle) { handle->data = this; });
    (void)uv_prepare_start(&prepare, [](uv_prepare_t* h) { of(h).core->before_poll(); });
    (void)uv_check_start(&check, [](uv_check_t* h) { of(h).core->after_poll(); });
    // They serve the others and give the loop no reason to run on.
    uv_unref(reinterpret_cast<uv_handle_t*>(&wake_up));
    uv_unref(reinterpret_cast<uv_handle_t*>(&prepare));
    uv_unref(reinterpret_cast<uv_handle_t*>(&check));
  }

  void close() noexcept {
    each([](uv_handle_t* handle) {
      uv_close(handle, [](uv_handle_t* closed) {
        Handles& handles = of(closed);
        if (--handles.left == 0) delete &handles;
      });
    });
  }

  template <class Visit>
  void each(Visit visit) {
    visit(reinterpret_cast<uv_handle_t*>(&wake_up));
    visit(reinterpret_cast<uv_handle_t*>(&prepare));
    visit(reinterpret_cast<uv_handle_t*>(&check));
    visit(reinterpret_cast<uv_handle_t*>(&idle));
    visit(reinterpret_cast<uv_handle_t*>(&linger));
  }

  ReactorCore* core;
  int left = 5;
  uv_async_t wake_up{};
  uv_prepare_t prepare{};
  uv_check_t check{};
  uv_idle_t idle{};
  uv_timer_t linger{};
};

ReactorCore::ReactorCore(Reactor& reactor, uv_loop_t* loop)
    : reactor_(reactor),
      loop_(loop != nullptr ? loop : &own_loop_),
      owns_loop_(loop == nullptr),
      read_buffer_(std::make_unique_for_overwrite<std::byte[]>(read_buffer_bytes)) {
  auto handles = std::make_unique<Handles>(this);
  if (owns_loop_) {
    const int problem = uv_loop_init(&own_loop_);
    if (problem != 0) throw Error(Status::no_resources, "make", "event loop", uv_strerror(problem), -problem);
  }
  try {
    handles->open(loop_);
  } catch (...) {
    if (owns_loop_) (void)uv_loop_close(&own_loop_);
    throw;
  }
  handles_ = handles.release();
}

ReactorCore::~ReactorCore() {
  if (!owns_loop_) return;
  while (uv_run(&own_loop_, UV_RUN_DEFAULT) != 0) {
  }
  (void)uv_loop_close(&own_loop_);
}

void ReactorCore::shut_down() noexcept {
  shut_down_ = true;
  connects_.reset();
  while (!listeners_.empty()) {
    const auto listener = listeners_.back();
    listener->close();
  }
  // What on_closed does may end others, but can add nothing.
  for (const auto& connection : connections_) connection->abort(Status::interrupted);
  while (!connections_.empty()) flush();
  while (!timers_.empty()) (*timers_.begin())->cancel();
  std::vector<std::function<void()>> dropped;
  {
    const std::lock_guard lock(posted_mutex_);
    dropped.swap(posted_);
  }
  dropped.clear();
  bury_dead();
  lingering_.clear();
  handles_->close();
}

void ReactorCore::require_running() const {
  if (shut_down_) throw Error(Status::closed, "use", "reactor", "it is being destroyed");
}

void ReactorCore::enlarge_read_buffer(std::size_t minimum) {
  if (minimum <= read_buffer_size_) return;
  read_buffer_ = std::make_unique_for_overwrite<std::byte[]>(minimum);
  read_buffer_size_ = minimum;
}

// ------------------------------------------------------------------------------------------------------ running

void ReactorCore::run() {
  stopped_ = false;
  for (;;) {
    run_posted();
    // Pairs with the release in stop(): what happened before it is seen after run() has returned.
    if (stop_.exchange(false, std::memory_order_acquire)) return;
    const bool alive = uv_run(loop_, UV_RUN_DEFAULT) != 0;
    if (stopped_ || stop_.exchange(false, std::memory_order_acquire)) return;
    if (alive || !has_posted()) return;
  }
}

void ReactorCore::stop() noexcept {
  // Pairs with the acquire in run() and on_wake_up().
  stop_.store(true, std::memory_order_release);
  send_wake_up();
}

void ReactorCore::post(std::function<void()> task) {
  bool first = false;
  {
    const std::lock_guard lock(posted_mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  // Later tasks go with the first: whoever takes the list takes all of it, under the same lock.
  if (first) send_wake_up();
}

void ReactorCore::send_wake_up() noexcept {
  // Relaxed: it only ends the spin; the event that follows carries the wake-up, and its poll clears this.
  wake_up_due_.store(true, std::memory_order_relaxed);
  (void)uv_async_send(&handles_->wake_up);
}

bool ReactorCore::has_posted() {
  const std::lock_guard lock(posted_mutex_);
  return !posted_.empty();
}

void ReactorCore::run_posted() {
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(posted_mutex_);
    tasks.swap(posted_);
  }
  for (std::function<void()>& task : tasks) {
    (void)run_handler("post", task);
    task = nullptr;  // what it holds ends before the next begins
  }
}

void ReactorCore::on_wake_up() {
  wake_engines();
  wake_up_due_.store(false, std::memory_order_relaxed);
  run_posted();
  // Pairs with the release in stop().
  if (stop_.exchange(false, std::memory_order_acquire)) {
    stopped_ = true;
    uv_stop(loop_);
  }
}

// ----------------------------------------------------------------------------------------------------- the turn

void ReactorCore::before_poll() {
  serve_left_over();
  flush();
  settle_idle();
  look_around_ = owns_loop_ && !work_left() && spin();
  if (!look_around_) arm(to_arm_);
  bury_dead();
  // The engines last: what is armed before counts on them, and once they are armed nothing of the user's may run.
  if (!look_around_) arm_engines();
  settle_idle();
}

void ReactorCore::after_poll() {
  look_around_ = false;
  wake_engines();
  flush();
  bury_dead();
  settle_idle();
}

bool ReactorCore::work_left() const noexcept {
  return !to_read_.empty() || !to_flush_.empty() || !to_accept_.empty() ||
         std::any_of(engines_.begin(), engines_.end(), [](const auto& engine) { return engine->is_due(); });
}

void ReactorCore::serve_left_over() {
  for (std::size_t i = 0; i < engines_.size(); ++i) engines_[i]->drive_if_due();  // a handler may add another
  // What is scheduled from here on is for the next turn.
  take_turns(to_read_, &ConnectionDriver::read_left_over);
  for (const auto& listener : std::exchange(to_accept_, {})) listener->accept_turn();
}

void ReactorCore::flush() { take_turns(to_flush_, &ConnectionDriver::end_turn); }

void ReactorCore::arm_engines() {
  for (const auto& engine : engines_) engine->arm();
}

void ReactorCore::wake_engines() noexcept {
  for (const auto& engine : engines_) engine->wake();
}

void ReactorCore::arm(Work& work) {
  batch_.swap(work);
  for (ConnectionDriver* connection : batch_) {
    if (!connection->wants_arm()) continue;
    if (connection->arm_many() != nullptr) {
      arming_.push_back(connection);
    } else {
      connection->armed(connection->arm());
    }
  }
  batch_.clear();
  while (!arming_.empty()) arm_together();
}

/// Takes those of one table out of `arming_`.
void ReactorCore::arm_together() {
  const ferry_arm_many* const table = arming_.front()->arm_many();
  const auto others = std::partition(arming_.begin(), arming_.end(),
                                     [&](ConnectionDriver* connection) { return connection->arm_many() == table; });
  const auto count = static_cast<std::size_t>(others - arming_.begin());
  raw_.resize(count);
  answers_.assign(count, FERRY_READY);
  std::transform(arming_.begin(), others, raw_.begin(), [](ConnectionDriver* connection) { return connection->raw(); });
  table->arm(raw_.data(), static_cast<std::uint32_t>(count), FERRY_READ, answers_.data());
  for (std::size_t i = 0; i < count; ++i) arming_[i]->armed(answers_[i]);
  arming_.erase(arming_.begin(), others);
}

void ReactorCore::take_turns(Work& work, void (ConnectionDriver::*turn)()) {
  batch_.swap(work);
  for (ConnectionDriver* connection : batch_) (connection->*turn)();
  batch_.clear();
}

/// True: the loop should poll without sleeping, and spin again after that.
bool ReactorCore::spin() {
  if (to_arm_.empty() || (to_arm_.size() > spin_connections && !may_sweep())) return false;
  const int timeout_ms = uv_backend_timeout(loop_);
  if (timeout_ms == 0) return false;
  WaitPolicy& policy = to_arm_.back()->wait_policy();
  if (policy.sleeps_at_once()) return false;
  const std::int64_t deadline =
      timeout_ms < 0 ? FERRY_FOREVER : monotonic_now_ns() + std::int64_t{timeout_ms} * 1'000'000;
  spin_found_others_ = false;
  const bool many = to_arm_.size() > spin_connections;
  for (std::uint32_t round = 0; round < spin_rounds; ++round) {
    if (!policy.spin(deadline, [&] { return many ? sweep() : spin_attempt(); })) return false;
    flush();
    if (spin_found_others_ || work_left() || (!many && to_arm_.size() > spin_connections)) return true;
  }
  for (ConnectionDriver* connection : to_arm_) connection->leave_poll();
  return true;
}

/// Of many connections only those are swept of which a look costs no system call; the others are armed now. True: many
/// are left.
bool ReactorCore::may_sweep() {
  const auto others = std::partition(to_arm_.begin(), to_arm_.end(),
                                     [](ConnectionDriver* connection) { return connection->arm_many() != nullptr; });
  Work rest(others, to_arm_.end());
  to_arm_.erase(others, to_arm_.end());
  arm(rest);
  return to_arm_.size() > spin_connections;
}

/// Looks at all of many connections once, so that what they answer leaves together. Arms those that have long been
/// quiet.
bool ReactorCore::sweep() {
  if (look_at_others(sweep_look_around)) return spin_found_others_ = true;
  if (drive_engines()) return true;
  bool found = false;
  std::size_t quiet = 0;
  for (std::size_t i = 0; i < to_arm_.size(); ++i) {
    found = to_arm_[i]->sweep_read() || found;
    if (to_arm_[i]->vain_sweeps() >= vain_sweeps) ++quiet;
  }
  if (quiet > 0 && found) {
    const auto busy_end = std::partition(to_arm_.begin(), to_arm_.end(), [](ConnectionDriver* connection) {
      return connection->vain_sweeps() < vain_sweeps;
    });
    Work rest(busy_end, to_arm_.end());
    to_arm_.erase(busy_end, to_arm_.end());
    arm(rest);
  }
  return found;
}

bool ReactorCore::spin_attempt() {
  if (look_at_others(spin_look_around)) return spin_found_others_ = true;
  if (drive_engines()) return true;
  for (std::size_t i = 0; i < to_arm_.size(); ++i) {
    if (++spin_next_ >= to_arm_.size()) spin_next_ = 0;
    if (to_arm_[spin_next_]->spin_read()) return true;
  }
  return false;
}

/// True: one of them had something to do.
bool ReactorCore::drive_engines() {
  for (std::size_t i = 0; i < engines_.size(); ++i) {
    if (engines_[i]->drive()) return true;
  }
  return false;
}

bool ReactorCore::look_at_others(std::uint32_t attempts) {
  const bool look = ++spin_attempts_ % attempts == 0;
  return wake_up_due_.load(std::memory_order_relaxed) || (look && loop_has_events(loop_));
}

void ReactorCore::settle_idle() noexcept {
  if (work_left() || look_around_) {
    (void)uv_idle_start(&handles_->idle, [](uv_idle_t*) {});
  } else {
    (void)uv_idle_stop(&handles_->idle);
  }
}

void ReactorCore::bury_dead() noexcept {
  std::erase_if(engines_, [](const auto& engine) { return engine->is_given(); });
  if (dead_.empty()) return;
  for (Work* work : {&to_read_, &to_flush_, &to_arm_}) {
    std::erase_if(*work, [](ConnectionDriver* connection) { return connection->is_told(); });
  }
  const auto buried = std::exchange(dead_, {});  // ending them may run the user's destructors
}

void ReactorCore::read_later(ConnectionDriver& connection) {
  to_read_.push_back(&connection);
  settle_idle();
}

void ReactorCore::flush_later(ConnectionDriver& connection) {
  to_flush_.push_back(&connection);
  settle_idle();
}

void ReactorCore::accept_later(std::shared_ptr<ListenerDriver> listener) {
  to_accept_.push_back(std::move(listener));
  settle_idle();
}

void ReactorCore::linger(std::shared_ptr<ConnectionDriver> connection) {
  lingering_.push_back(std::move(connection));
  if (uv_is_active(reinterpret_cast<uv_handle_t*>(&handles_->linger)) != 0) return;
  (void)uv_timer_start(
      &handles_->linger, [](uv_timer_t* timer) { Handles::of(timer).core->check_lingering(); }, linger_check_ms,
      linger_check_ms);
}

void ReactorCore::check_lingering() {
  for (const auto& connection : lingering_) connection->on_linger_tick();
  std::erase_if(lingering_, [](const auto& connection) { return connection->is_told(); });
  if (lingering_.empty()) (void)uv_timer_stop(&handles_->linger);
}

// --------------------------------------------------------------------------------------------------- membership

void ReactorCore::adopt(std::shared_ptr<ConnectionDriver> connection) {
  require_running();
  connection->index() = connections_.size();
  connections_.push_back(std::move(connection));
}

void ReactorCore::forget(ConnectionDriver& connection) noexcept {
  const std::size_t index = connection.index();
  dead_.push_back(std::move(connections_[index]));
  if (index + 1 < connections_.size()) {
    connections_[index] = std::move(connections_.back());
    connections_[index]->index() = index;
  }
  connections_.pop_back();
}

void ReactorCore::adopt(std::shared_ptr<ListenerDriver> listener) {
  require_running();
  listeners_.push_back(std::move(listener));
}

void ReactorCore::forget(ListenerDriver& listener) noexcept {
  std::erase_if(listeners_, [&](const auto& each) { return each.get() == &listener; });
}

void ReactorCore::adopt(Timer& timer) {
  require_running();
  timers_.insert(&timer);
}

ConnectPool& ReactorCore::connects() {
  require_running();
  if (connects_ == nullptr) connects_ = std::make_unique<ConnectPool>();
  return *connects_;
}

EngineDriver::Use ReactorCore::use_engine(const ferry_drive* table, ferry_engine* engine) {
  if (table == nullptr || engine == nullptr) return nullptr;
  for (const auto& driver : engines_) {
    if (driver->is_for(*engine)) return driver->use();
  }
  auto driver = EngineDriver::take(*this, *table, *engine);
  if (driver == nullptr) return nullptr;
  engines_.push_back(std::move(driver));
  settle_idle();
  return engines_.back()->use();
}

void ReactorCore::hold() noexcept {
  if (holds_++ == 0) uv_ref(reinterpret_cast<uv_handle_t*>(&handles_->wake_up));
}

void ReactorCore::release() noexcept {
  if (--holds_ == 0) uv_unref(reinterpret_cast<uv_handle_t*>(&handles_->wake_up));
}

void ReactorCore::log_exception(std::string_view what, const std::exception_ptr& exception) noexcept {
  try {
    std::string text = "handler " + std::string(what) + " threw ";
    try {
      std::rethrow_exception(exception);
    } catch (const std::exception& known) {
      text += known.what();
    } catch (...) {
      text += "something that is no std::exception";
    }
    log(FERRY_LOG_ERROR, "ferry.reactor", text);
  } catch (...) {
    return;  // out of memory: the line is lost
  }
}

}  // namespace ferry

#include "ferry/reactor.hpp"

#include <utility>

#include "reactor_connection.hpp"
#include "reactor_core.hpp"
#include "reactor_listener.hpp"
#include "reactor_timer.hpp"

namespace ferry {
ReactorConnection::~ReactorConnection() = default;
ReactorListener::~ReactorListener() = default;
ReactorHandle::~ReactorHandle() = default;

Reactor::Reactor() : core_(std::make_shared<ReactorCore>(*this, nullptr)) {}
Reactor::Reactor(uv_loop_s* loop) : core_(std::make_shared<ReactorCore>(*this, loop)) {}
Reactor::~Reactor() { core_->shut_down(); }

void Reactor::run() { core_->run(); }
void Reactor::stop() noexcept { core_->stop(); }
void Reactor::post(std::function<void()> task) { core_->post(std::move(task)); }
uv_loop_s* Reactor::loop() noexcept { return core_->loop(); }

std::shared_ptr<ReactorConnection> Reactor::add(Connection connection, ReactorConnection::Handlers handlers,
                                                ReactorLimits limits) {
  if (static_cast<bool>(handlers.on_bytes) == static_cast<bool>(handlers.on_message)) {
    throw Error(Status::invalid, "add", connection.descriptor(), "set exactly one of on_bytes and on_message");
  }
  auto driver = std::make_shared<ConnectionDriver>(*core_, std::move(connection), std::move(handlers), limits);
  core_->adopt(driver);
  try {
    driver->start();
  } catch (...) {
    driver->give_up();
    throw;
  }
  return driver;
}

std::shared_ptr<ReactorListener> Reactor::listen(Listener listener, std::function<void(Connection)> on_accept,
                                                 std::function<void(const ferry_error&)> on_error,
                                                 ReactorLimits limits) {
  auto driver = std::make_shared<ListenerDriver>(*core_, std::move(listener), std::move(on_accept), std::move(on_error),
                                                 limits.accept_budget);
  core_->adopt(driver);
  try {
    driver->start();
  } catch (...) {
    driver->close();
    throw;
  }
  return driver;
}

std::unique_ptr<ReactorHandle> Reactor::call_at(Deadline when, std::function<void()> task) {
  return Timer::start(*core_, when, std::move(task));
}

}  // namespace ferry
